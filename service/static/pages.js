// Live updates, keys, times, copying. Every page reads and decides without it.
(() => {
  "use strict";
  const main = document.querySelector("main");
  const root = document.documentElement;
  const one = (query, from = document) => from.querySelector(query);
  const all = (query, from = document) => [...from.querySelectorAll(query)];
  const kept = (name, value) => {
    try {
      if (value === undefined) return localStorage.getItem(name);
      localStorage.setItem(name, value);
    } catch { /* nothing is kept, then */ }
    return null;
  };

  // --- Times: UTC as served, in the reader's zone on demand; the title stays UTC.
  const zone = one("[data-zone]");
  let local = kept("zone") === "local";
  const two = (n) => String(n).padStart(2, "0");
  const offset = (date) => {
    const minutes = -date.getTimezoneOffset();
    const size = Math.abs(minutes);
    return "UTC" + (minutes < 0 ? "\u2212" : "+") + Math.floor(size / 60) + (size % 60 ? ":" + two(size % 60) : "");
  };
  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const clock = (date, here) => here
    ? [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":")
    : date.toISOString().slice(11, 19);
  const day = (date, here) => here
    ? `${date.getDate()} ${MONTHS[date.getMonth()]} ${date.getFullYear()}`
    : `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
  const showTimes = (from) => {
    for (const node of all("time[data-as]", from)) {
      const date = new Date(node.dateTime);
      const shown = { date: [day], full: [day, clock] }[node.dataset.as] ?? [clock];
      node.textContent = shown.map((part) => part(date, local)).join(", ");
    }
    for (const node of all("[data-zone-name]", from)) node.textContent = local ? offset(new Date()) : "UTC";
  };
  const showZone = () => {
    zone.textContent = local ? offset(new Date()) : "UTC";
    zone.title = local ? "Times are yours; show UTC" : "Times are UTC; show yours";
  };
  if (zone) {
    zone.addEventListener("click", () => {
      local = !local;
      kept("zone", local ? "local" : "utc");
      showZone();
      showTimes(document);
      document.dispatchEvent(new CustomEvent("zone", { detail: { local } }));
    });
    showZone();
    if (local) showTimes(document);
  }

  // --- Scheme: the system's until the reader chooses.
  const scheme = one("[data-scheme]", one(".me") ?? document);
  if (scheme) {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (root.dataset.scheme ?? (system.matches ? "dark" : "light")) === "dark";
    const name = () => { scheme.textContent = dark() ? "Light" : "Dark"; };
    const told = () => { name(); document.dispatchEvent(new CustomEvent("scheme")); };
    scheme.addEventListener("click", () => {
      root.dataset.scheme = dark() ? "light" : "dark";
      kept("scheme", root.dataset.scheme);
      told();
    });
    system.addEventListener("change", told);
    name();
  }

  // --- Time left and age: by this machine's steady clock, from what the server said.
  const spelled = (seconds) => {
    if (seconds < 60) return Math.floor(seconds) + " s";
    const minutes = Math.round(seconds / 60);
    if (minutes < 60) return minutes + " min";
    const hours = Math.floor(minutes / 60);
    return hours < 24 ? `${hours} h${minutes % 60 ? ` ${minutes % 60} min` : ""}` : `${Math.floor(hours / 24)} d${hours % 24 ? ` ${hours % 24} h` : ""}`;
  };
  const tick = () => {
    const now = performance.now();
    for (const node of all("[data-left]")) {
      node.due ??= now + Number(node.dataset.left) * 1000;
      const left = Math.max(0, Math.floor((node.due - now) / 1000));
      const hours = Math.floor(left / 3600);
      node.textContent = (hours ? hours + ":" : "") + two(Math.floor(left / 60) % 60) + ":" + two(left % 60);
    }
    for (const node of all("[data-age]")) {
      node.since ??= now - Number(node.dataset.age) * 1000;
      node.textContent = spelled((now - node.since) / 1000);
    }
  };
  tick();
  window.setInterval(tick, 1000);

  // --- Copying: exactly the text of what the button names.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const text = one(button.dataset.copy)?.textContent ?? "";
    try {
      await navigator.clipboard.writeText(text);
      said(button, "Copied");
    } catch {
      const range = document.createRange();
      range.selectNodeContents(one(button.dataset.copy));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      said(button, "Selected");
    }
  });
  const said = (button, word) => {
    button.word ??= button.textContent;
    button.textContent = word;
    window.setTimeout(() => { button.textContent = button.word; }, 1500);
  };

  // --- Keys. One key never decides anything; all of them can be turned off.
  const dialog = one("#keys");
  const allowed = one("[data-keys]");
  if (allowed) {
    allowed.checked = kept("keys") !== "off";
    allowed.addEventListener("change", () => kept("keys", allowed.checked ? "on" : "off"));
  }
  one("[data-help]")?.addEventListener("click", () => dialog.showModal());
  const move = (by) => {
    const rows = all("[data-row]").filter((node) => node.checkVisibility());
    const at = rows.indexOf(document.activeElement);
    rows[Math.min(Math.max(at + by, 0), rows.length - 1)]?.focus();
  };
  const go = { o: "/", i: "/incidents", s: "/skills", a: "/audit" };
  const keys = {
    "/": () => one("main [type=search], #search")?.focus(),
    "?": () => dialog?.showModal(),
    j: () => move(1),
    k: () => move(-1),
    c: () => one("[data-copy='#command']")?.click(),
    a: () => one("#approve")?.focus(),
    d: () => one("#deny")?.focus(),
  };
  let leading = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !allowed?.checked || dialog?.open) return;
    if (event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (leading && performance.now() - leading < 1200 && go[event.key]) {
      leading = 0;
      location.href = go[event.key];
      return;
    }
    leading = event.key === "g" ? performance.now() : 0;
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  // --- Live: a part is swapped only when it changed; the decision only when there is another one to take.
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  document.addEventListener("htmx:load", (event) => { if (local) showTimes(event.detail.elt); });
  if (!main?.dataset.events) return;
  const live = one("[data-live]");
  const served = new Map();
  const parts = (from) => all("[data-part]", from);
  // What counts down or up by itself is no change.
  const signature = (part) => {
    const copy = part.cloneNode(true);
    for (const node of all("[data-left], [data-age]", copy)) {
      node.textContent = "";
      node.removeAttribute("data-left");
      node.removeAttribute("data-age");
    }
    return copy.outerHTML;
  };
  const remember = () => parts(main).forEach((part) => served.set(part.dataset.part, signature(part)));

  // What many pages are sent alike holds nobody's token; it is this page's own.
  const token = one(".me [name=csrf]")?.value ?? "";
  const swap = (fresh) => {
    for (const field of all("[name=csrf]", fresh)) field.setAttribute("value", token);
    const anchor = one("#decision:not([hidden])", main);
    const before = anchor ? anchor.getBoundingClientRect().top : 0;
    for (const part of parts(fresh)) {
      const old = one(`[data-part="${part.dataset.part}"]`, main);
      const now = signature(part);
      if (!old || served.get(part.dataset.part) === now) continue;
      served.set(part.dataset.part, now);
      if (part.dataset.key && part.dataset.key === old.dataset.key) continue;
      const open = all("details[open]", old).map((node) => node.id);
      const held = old.contains(document.activeElement) ? document.activeElement : null;
      const put = document.adoptNode(part);
      old.replaceWith(put);
      open.forEach((id) => { const node = id && document.getElementById(id); if (node) node.open = true; });
      if (held) (held.id ? document.getElementById(held.id) : one(`[href="${CSS.escape(held.getAttribute("href") ?? "")}"]`, put))?.focus({ preventScroll: true });
      if (local) showTimes(put);
      document.dispatchEvent(new CustomEvent("part", { detail: { part: put } }));
    }
    const after = one("#decision:not([hidden])", main);
    if (anchor && after && before >= 0 && window.scrollY > 0) window.scrollBy(0, after.getBoundingClientRect().top - before);
    tick();
  };

  const say = (text) => {
    if (live.textContent !== text) live.textContent = text;
    live.hidden = !text;
    all(".decide button", main).forEach((button) => { if (!button.dataset.sent) button.disabled = Boolean(text); });
  };

  // --- htmx asks for what changed; what to do with the answer is decided here.
  const refresh = () => htmx.trigger(main, "changed");
  main.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target !== main) return;
    event.detail.shouldSwap = false;
    const answer = event.detail.xhr;
    if (answer.status === 401) { location.reload(); return; }
    if (answer.status !== 200) { say("Not up to date: Stanch does not answer as it should"); return; }
    swap(new DOMParser().parseFromString(answer.responseText, "text/html"));
    if (!lost) say("");
  });
  main.addEventListener("htmx:sendError", (event) => { if (event.target === main) say("Not up to date: Stanch does not answer"); });

  // --- Events; while there are none, asking every few seconds does the same more slowly. A page that nobody sees gives
  // its connection back after a while: browsers have six for a site, and a seventh page would wait for ever.
  const HIDDEN_MS = 60000;
  const SLOW_MS = 30000;
  let source = null;
  let lost = false;
  let polling = 0;
  let hiding = 0;
  const poll = (every) => {
    window.clearInterval(polling);
    polling = every ? window.setInterval(refresh, every) : 0;
  };
  const listen = () => {
    source = new EventSource(main.dataset.events);
    source.addEventListener("open", () => poll(0));
    source.addEventListener("changed", (event) => {
      // The first only says how new the store is; a page that was served just as new has nothing to ask for.
      const news = lost || !live.hidden || String(JSON.parse(event.data).version) !== main.dataset.version;
      lost = false;
      main.dataset.version = "";
      if (news) refresh();
    });
    source.addEventListener("parts", (event) => {
      lost = false;
      main.dataset.version = "";
      poll(0);
      swap(new DOMParser().parseFromString(JSON.parse(event.data).html, "text/html"));
      say("");
    });
    source.addEventListener("away", () => { lost = true; say("Not up to date: the store does not answer"); poll(5000); });
    source.addEventListener("error", () => {
      lost = true;
      say("Not up to date: reconnecting");
      poll(5000);
      refresh();
      if (source.readyState === EventSource.CLOSED) window.setTimeout(listen, 3000);
    });
  };
  document.addEventListener("visibilitychange", () => {
    window.clearTimeout(hiding);
    if (document.hidden) {
      hiding = window.setTimeout(() => { source.close(); source = null; poll(SLOW_MS); }, HIDDEN_MS);
    } else if (!source) {
      poll(0);
      listen();
    }
  });
  window.addEventListener("pagehide", () => source?.close());

  // --- One click, one form.
  main.addEventListener("submit", (event) => {
    if (!event.target.closest(".decide")) return;
    all("button", event.target).forEach((button) => { button.dataset.sent = "1"; });
    window.setTimeout(() => all(".decide button", main).forEach((button) => { button.disabled = true; }));
  });

  remember();
  listen();
})();
