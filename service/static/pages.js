// Live updates and reading charts. The page reads and decides without it.
(() => {
  "use strict";
  const main = document.querySelector("main[data-events]");
  if (!main) return;
  const live = document.querySelector("[data-live]");
  const served = new Map();
  let counting = [];
  let busy = false;
  let again = false;

  const parts = (root) => [...root.querySelectorAll("[data-part]")];
  const remember = () => parts(main).forEach((part) => served.set(part.dataset.part, part.outerHTML));

  // --- Time left: by this machine's steady clock, from what the server said.
  const count = () => {
    const now = performance.now();
    counting = [...main.querySelectorAll("[data-left]")].map((node) => {
      node.due ??= now + Number(node.dataset.left) * 1000;
      return node;
    });
  };
  const tick = () => {
    for (const node of counting) {
      const left = Math.max(0, Math.floor((node.due - performance.now()) / 1000));
      const two = (n) => String(n).padStart(2, "0");
      const hours = Math.floor(left / 3600);
      node.textContent = (hours ? hours + ":" : "") + two(Math.floor(left / 60) % 60) + ":" + two(left % 60);
    }
  };

  // --- A part is swapped only when it changed; the decision only when there is another one to take.
  const swap = (fresh) => {
    const anchor = main.querySelector("#decision:not([hidden])");
    const before = anchor ? anchor.getBoundingClientRect().top : 0;
    for (const part of parts(fresh)) {
      const old = main.querySelector(`[data-part="${part.dataset.part}"]`);
      const html = part.outerHTML;
      if (!old || served.get(part.dataset.part) === html) continue;
      served.set(part.dataset.part, html);
      if (part.dataset.key && part.dataset.key === old.dataset.key) continue;
      const open = [...old.querySelectorAll("details[open]")].map((node) => node.id);
      const held = old.contains(document.activeElement) ? document.activeElement.id : "";
      const put = document.adoptNode(part);
      old.replaceWith(put);
      open.forEach((id) => { const node = document.getElementById(id); if (node) node.open = true; });
      if (held) document.getElementById(held)?.focus({ preventScroll: true });
    }
    const after = main.querySelector("#decision:not([hidden])");
    if (anchor && after && before >= 0 && window.scrollY > 0) window.scrollBy(0, after.getBoundingClientRect().top - before);
    count();
    tick();
  };

  const decisions = (usable) => main.querySelectorAll(".decide button").forEach((button) => {
    if (!button.dataset.sent) button.disabled = !usable;
  });

  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.pathname, { headers: { "X-Fragment": "1" }, credentials: "same-origin" });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
      say("");
    } catch {
      say("Not up to date: Stanch does not answer");
    } finally {
      busy = false;
      if (again) { again = false; refresh(); }
    }
  };

  const say = (text) => {
    if (live) { live.textContent = text; live.hidden = !text; }
    decisions(!text);
  };

  // --- Events; while there are none, asking every few seconds does the same more slowly.
  let polling = 0;
  const poll = (on) => {
    if (on && !polling) polling = window.setInterval(refresh, 5000);
    if (!on && polling) { window.clearInterval(polling); polling = 0; }
  };
  const source = new EventSource(main.dataset.events);
  source.addEventListener("open", () => poll(false));
  source.addEventListener("changed", refresh);
  source.addEventListener("away", () => { say("Not up to date: the store does not answer"); poll(true); });
  source.addEventListener("error", () => { refresh(); poll(true); });
  window.addEventListener("pagehide", () => source.close());

  // --- One click, one form.
  main.addEventListener("submit", (event) => {
    event.target.querySelectorAll("button").forEach((button) => { button.dataset.sent = "1"; });
    window.setTimeout(() => main.querySelectorAll(".decide button").forEach((button) => { button.disabled = true; }));
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // --- One cursor through all charts of a group.
  const points = (svg) => {
    svg.read ??= [...svg.querySelector(".line").getAttribute("d").matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map((m) => [Number(m[1]), Number(m[2])]);
    return svg.read;
  };
  const figure = (value) => Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString();
  const read = (group, x) => group.querySelectorAll(".area svg").forEach((svg) => {
    const [start, end, top, bottom] = ["start", "end", "top", "bottom"].map((name) => Number(svg.dataset[name]));
    const nearest = points(svg).reduce((best, one) => Math.abs(one[0] - x) < Math.abs(best[0] - x) ? one : best, [-1e9, 0]);
    const reading = svg.closest("figure").querySelector("[data-reading]");
    const cursor = svg.querySelector("[data-cursor]");
    if (x < 0 || Math.abs(nearest[0] - x) > 60) { cursor.setAttribute("d", ""); reading.textContent = ""; return; }
    cursor.setAttribute("d", `M${nearest[0]} 0V100`);
    const at = new Date((start + nearest[0] / 1000 * (end - start)) * 1000).toISOString().slice(11, 19);
    reading.textContent = `${figure(top - nearest[1] / 100 * (top - bottom))} at ${at}`;
  });
  main.addEventListener("pointermove", (event) => {
    const svg = event.target.closest?.(".area svg");
    if (!svg) return;
    const box = svg.getBoundingClientRect();
    read(svg.closest("[data-charts]"), (event.clientX - box.left) / box.width * 1000);
  });
  main.addEventListener("pointerout", (event) => {
    const group = event.target.closest?.("[data-charts]");
    if (group && !group.contains(event.relatedTarget)) read(group, -1);
  });

  remember();
  count();
  tick();
  window.setInterval(tick, 1000);
})();
