// The charts that one can look closer at, and the graph of causes. The page has both without it.
(() => {
  "use strict";
  const main = document.querySelector("main[data-series]");
  if (!main) return;
  const all = (query, from = document) => [...from.querySelectorAll(query)];
  // A variable may hold a light and a dark value; only a used one is resolved.
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const kept = () => { try { return localStorage.getItem("zone"); } catch { return null; } };

  // --- Charts -----------------------------------------------------------------------------------------------------
  let data = null;
  let shown = null;
  const drawn = new Map();
  const address = new URLSearchParams(location.search);
  const asked = [address.get("from"), address.get("to")].map(Number);
  if (asked[0] && asked[1] > asked[0]) shown = asked;

  const figure = (value) => {
    if (value === null || value === undefined) return "";
    const size = Math.abs(value);
    return size >= 1e6 ? (value / 1e6).toPrecision(3) + " M" : size >= 1e4 ? Math.round(value / 1e3) + " k"
      : size >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString();
  };
  const local = () => kept() === "local";
  const date = (seconds) => local() ? new Date(seconds * 1000) : uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
  const clock = (seconds) => date(seconds).toTimeString().slice(0, 8);

  const marks = (found, one, paint) => ({
    drawClear: (plot) => {
      const { ctx, bbox } = plot;
      const x = (at) => Math.min(Math.max(plot.valToPos(at, "x", true), bbox.left), bbox.left + bbox.width);
      ctx.save();
      if (found.anomaly_from) {
        ctx.fillStyle = paint.anomaly;
        ctx.fillRect(x(found.anomaly_from), bbox.top, bbox.left + bbox.width - x(found.anomaly_from), bbox.height);
        ctx.strokeStyle = paint.wrong;
        ctx.lineWidth = 1.2 * devicePixelRatio;
        const at = plot.valToPos(found.anomaly_from, "x", true);
        if (at >= bbox.left && at <= bbox.left + bbox.width) line(ctx, at, bbox.top, at, bbox.top + bbox.height);
      }
      ctx.fillStyle = paint.running;
      ctx.globalAlpha = 0.14;
      for (const [from, to] of found.bands) ctx.fillRect(x(from), bbox.top, Math.max(2, x(to) - x(from)), bbox.height);
      ctx.globalAlpha = 1;
      ctx.restore();
    },
    draw: (plot) => {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.lineWidth = 1.4 * devicePixelRatio;
      if (one.threshold !== null) {
        const y = plot.valToPos(one.threshold, "y", true);
        ctx.strokeStyle = paint.target;
        ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
        if (y >= bbox.top && y <= bbox.top + bbox.height) line(ctx, bbox.left, y, bbox.left + bbox.width, y);
      }
      ctx.strokeStyle = paint.ink;
      ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
      for (const [at, what] of found.events) {
        const x = plot.valToPos(at, "x", true);
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        line(ctx, x, bbox.top, x, bbox.top + bbox.height);
        if (one !== found.series[0]) continue;
        const late = x > bbox.left + bbox.width * 0.7;
        ctx.save();
        ctx.setLineDash([]);
        ctx.font = `400 ${12 * devicePixelRatio}px 'IBM Plex Sans', sans-serif`;
        ctx.textAlign = late ? "right" : "left";
        ctx.strokeStyle = paint.card;
        ctx.lineWidth = 3 * devicePixelRatio;
        ctx.fillStyle = paint.ink;
        const place = [cut(what, 24), x + (late ? -5 : 5) * devicePixelRatio, bbox.top + 10 * devicePixelRatio];
        ctx.strokeText(...place);
        ctx.fillText(...place);
        ctx.restore();
      }
      ctx.restore();
    },
  });
  const line = (ctx, x1, y1, x2, y2) => {
    ctx.beginPath();
    ctx.moveTo(x1, y1);
    ctx.lineTo(x2, y2);
    ctx.stroke();
  };

  const zoom = (group, from, to) => {
    shown = from === null ? null : [from, to];
    const here = new URL(location.href);
    for (const [name, value] of [["from", from], ["to", to]]) {
      if (value === null) here.searchParams.delete(name);
      else here.searchParams.set(name, value.toFixed(1));
    }
    history.replaceState(history.state, "", here);
    for (const plot of drawn.get(group) ?? []) {
      const times = plot.data[0];
      plot.setScale("x", from === null ? { min: times[0], max: times[times.length - 1] } : { min: from, max: to });
    }
  };

  const options = (group, box, found, one, width, from, to) => {
    const paint = Object.fromEntries(["line", "soft", "rule", "ink", "anomaly", "running", "target", "card", "wrong"].map((name) => [name, colour(name)]));
    const font = "400 12px 'IBM Plex Sans', sans-serif";
    const reading = box.closest("figure").querySelector("[data-reading]");
    const hooks = marks(found, one, paint);
    return {
      width,
      height: box.clientHeight,
      tzDate: date,
      padding: [6, 22, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: group, setSeries: false }, y: false, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      scales: { x: { range: (_, low, high) => [low, high] }, y: { range: (_, low, high) => span(Math.min(low, one.threshold ?? low), Math.max(high, one.threshold ?? high)) } },
      axes: [
        { stroke: paint.soft, font, grid: { show: false }, ticks: { show: false }, size: 22, gap: 4, space: 90,
          values: (_, splits, __, ___, step) => splits.map((at) => clock(at).slice(0, step >= 60 ? 5 : 8)) },
        { stroke: paint.soft, font, size: 62, gap: 8, space: 34, grid: { stroke: paint.rule, width: 1 }, ticks: { show: false }, values: (_, splits) => splits.map(figure) },
      ],
      series: [{}, { stroke: paint.line, width: 1.6, points: { show: false } }],
      hooks: {
        drawClear: [hooks.drawClear],
        draw: [hooks.draw],
        setCursor: [(plot) => {
          const at = plot.cursor.idx;
          const value = at === null || at === undefined ? null : plot.data[1][at];
          reading.textContent = value === null || value === undefined ? "" : `${figure(value)} at ${clock(plot.data[0][at])}`;
        }],
        setSelect: [(plot) => {
          if (plot.select.width < 6) return;
          const [a, b] = [plot.select.left, plot.select.left + plot.select.width].map((at) => plot.posToVal(at, "x"));
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          zoom(group, a, b);
        }],
        ready: [(plot) => {
          plot.setScale("x", { min: from, max: to });
          plot.over.addEventListener("dblclick", () => zoom(group, null, null));
        }],
      },
    };
  };
  // From zero, so that a small change looks small.
  const span = (low, high) => {
    const from = Math.min(0, low ?? 0);
    const to = Math.max(0, high ?? 0);
    return from === to ? [from, from + 1] : [from - (from < 0 ? (to - from) * 0.05 : 0), to + (to - from) * 0.05];
  };

  const draw = (group) => {
    const found = data?.[group.dataset.charts];
    if (!found) return;
    const boxes = all("[data-drawn]", group);
    if (boxes.length !== found.series.length) return;
    (drawn.get(group.dataset.charts) ?? []).forEach((plot) => plot.destroy());
    const edges = found.series.flatMap((one) => [one.times[0], one.times[one.times.length - 1]]);
    const [from, to] = shown && group.dataset.charts === "evidence" ? shown : [Math.min(...edges), Math.max(...edges)];
    drawn.set(group.dataset.charts, boxes.map((box, index) => {
      const one = found.series[index];
      const height = box.clientHeight;
      box.style.height = `${height}px`;
      box.classList.add("live");
      return new uPlot(options(group.dataset.charts, box, found, one, box.clientWidth, from, to), [one.times, one.values], box);
    }));
  };
  // What one can look closer at is fetched when it comes into sight; until then the page's own drawing stands there.
  let library = null;
  const drawing = () => library ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = main.dataset.uplot;
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
  const load = async () => {
    try {
      const [answer] = await Promise.all([fetch(main.dataset.series, { credentials: "same-origin" }), drawing()]);
      if (!answer.ok) return;
      data = await answer.json();
    } catch { return; /* the page's own drawing stays */ }
    all("[data-charts]", main).forEach(draw);
  };
  const seen = new IntersectionObserver((entries) => {
    const inSight = entries.filter((entry) => entry.isIntersecting);
    inSight.forEach((entry) => seen.unobserve(entry.target));
    if (inSight.length) load();
  });
  const watch = (from) => all("[data-charts]", from).forEach((group) => seen.observe(group));
  const redraw = () => { if (data) all("[data-charts]", main).forEach(draw); };

  // --- Graph: laid out by dagre, drawn by us, with text that is text ------------------------------------------------
  const SVG = "http://www.w3.org/2000/svg";
  const made = (name, attributes, ...inside) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...inside);
    return node;
  };
  const NODE = { height: 62, wide: 186, narrow: 150 };
  const cut = (text, room) => text.length > room ? text.slice(0, room - 1) + "…" : text;

  const graph = (box) => {
    const holder = box.querySelector("script");
    if (!holder) return;
    const found = JSON.parse(holder.textContent);
    const room = box.clientWidth || 400;
    const width = room < 420 ? NODE.narrow : NODE.wide;
    const laid = new dagre.graphlib.Graph().setGraph({ rankdir: "TB", nodesep: 18, ranksep: 34, marginx: 2, marginy: 2 }).setDefaultEdgeLabel(() => ({}));
    for (const node of found.nodes) laid.setNode(node.id, { width, height: NODE.height });
    for (const edge of found.edges) laid.setEdge(edge.from, edge.to, { weight: edge.kind === "strong" ? 8 : 1 });
    dagre.layout(laid);
    const size = laid.graph();
    const picture = made("svg", { viewBox: `0 0 ${size.width} ${size.height}`, width: Math.min(size.width, room), height: size.height * Math.min(1, room / size.width), role: "group", "aria-label": "From the likely cause to the alert" });
    picture.append(made("defs", {}, ...["strong", "plain", "rejected"].map((kind) => made("marker", { id: `head-${kind}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto", class: `head-${kind}` }, made("path", { d: "M0 0L8 4L0 8z" })))));
    for (const edge of found.edges) {
      const points = laid.edge(edge.from, edge.to).points;
      const d = "M" + points.map((p) => `${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join("L");
      picture.append(made("path", { d, class: `edge ${edge.kind}`, "marker-end": `url(#head-${edge.kind})` }));
    }
    const charts = all("[data-charts=evidence] figcaption strong", main);
    for (const node of found.nodes) {
      const at = laid.node(node.id);
      const chart = charts.find((one) => one.textContent === node.name)?.closest("figure");
      const left = at.x - width / 2 + 10;
      const [first, second] = [node.note.slice(0, node.note.length - node.moved.length).trim(), node.moved];
      const name = made("text", { x: left, y: at.y - (second ? 12 : 4), class: "name" }, cut(node.name, Math.floor(width / 8)));
      const note = made("text", { x: left, y: at.y + (second ? 5 : 13), class: "note" }, cut(first, Math.floor(width / 5.9)));
      if (second) note.append(made("tspan", { x: left, dy: 16 }, cut(second, Math.floor(width / 5.9))));
      const title = made("title", {}, `${node.name}: ${node.note}${node.why ? ", " + node.why : ""}`);
      const whole = made("g", { class: `node ${node.kind}` }, title, made("rect", { x: at.x - width / 2, y: at.y - NODE.height / 2, width, height: NODE.height, rx: 6 }), name, note);
      if (chart) {
        chart.id ||= `chart-${charts.indexOf(chart.querySelector("figcaption strong")) + 1}`;
        picture.append(made("a", { href: `#${chart.id}` }, whole));
      } else picture.append(whole);
    }
    box.querySelector("svg")?.remove();
    box.append(picture);
    const list = box.parentElement.querySelector("[data-list]");
    if (list && !list.dataset.closed) {
      list.dataset.closed = "1";
      list.open = false;
    }
  };
  const graphs = (from) => all("[data-graph]", from).forEach(graph);

  // --- How far a run is, told at each phase and quarter: whoever listens hears what is new, not each per cent.
  const steps = main.querySelector("[data-steps]");
  const tell = (part) => {
    const bar = part.querySelector("progress");
    if (part.dataset.part !== "progress" || !bar) return;
    const phase = part.querySelector(".phase strong").textContent;
    const said = bar.hasAttribute("value") ? `${phase}, ${Math.floor(bar.value / 25) * 25} %` : phase;
    if (steps.textContent !== said) steps.textContent = said;
  };

  graphs(main);
  watch(main);
  document.addEventListener("part", (event) => {
    const part = event.detail.part;
    tell(part);
    graphs(part);
    watch(part);
  });
  document.addEventListener("scheme", redraw);
  document.addEventListener("zone", redraw);
  let resizing = 0;
  let wide = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === wide) return;
    wide = window.innerWidth;
    window.clearTimeout(resizing);
    resizing = window.setTimeout(() => {
      all(".drawn.live", main).forEach((box) => { box.style.height = ""; box.classList.remove("live"); });
      (new Set([...drawn.values()].flat())).forEach((plot) => plot.destroy());
      drawn.clear();
      redraw();
      graphs(main);
    }, 150);
  });
})();
