// Before the first paint: the scheme that the reader chose, and that there is a script.
(() => {
  "use strict";
  const root = document.documentElement;
  root.dataset.js = "1";
  try {
    const scheme = localStorage.getItem("scheme");
    if (scheme === "dark" || scheme === "light") root.dataset.scheme = scheme;
  } catch { /* a browser that keeps nothing follows the system */ }
})();
