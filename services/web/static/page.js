"use strict";
// Keys of all pages, and pages that renew themselves while work goes on.
(() => {
  const places = { n: "/", c: "/candidates", w: "/work" };
  const typing = () => /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing()) return;
    const link = event.key === "j" ? "next" : event.key === "k" ? "prev" : null;
    if (event.key === "/") {
      event.preventDefault();
      document.querySelector('input[name="q"]').focus();
    } else if (places[event.key]) {
      location.assign(places[event.key]);
    } else if (link && !document.getElementById("candidates")) {
      document.querySelector(`a[rel="${link}"]`)?.click();
    }
  });
  const seconds = Number(document.body.dataset.refresh);
  if (seconds) {
    setInterval(() => {
      if (!document.hidden && document.activeElement === document.body && !String(getSelection())) location.reload();
    }, 1000 * seconds);
  }
})();
