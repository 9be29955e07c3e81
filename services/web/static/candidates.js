"use strict";
// The list of candidates: one of them is chosen, and its curve of this night is drawn.
(() => {
  const rows = [...document.querySelectorAll("#candidates tbody tr")], box = document.getElementById("shown");
  if (!rows.length) return;
  const told = box.querySelector(".told"), kept = new Map();
  const plot = new PointPlot(box.querySelector(".plot"), { height: 230, told: () => {} });
  const form = box.querySelector("form");
  let chosen = -1;

  async function choose(place) {
    if (place < 0 || place >= rows.length || place === chosen) return;
    rows[chosen]?.removeAttribute("aria-selected");
    chosen = place;
    const row = rows[place], star = row.dataset.star;
    row.setAttribute("aria-selected", "true");
    if (form) form.elements.star.value = star;
    if (document.activeElement !== document.body) row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
    try {
      if (!kept.has(star)) kept.set(star, await fetched(`/star/${star}/curve.json`));
    } catch (error) {
      told.textContent = error.message;
      return;
    }
    if (rows[chosen] !== row) return;
    const curve = kept.get(star).curves.find((one) => String(one.observation) === box.dataset.observation);
    if (!curve) { told.textContent = `Star ${star} has no curve here.`; return; }
    const times = curve.bjd.some((time) => time !== null) ? curve.bjd : curve.jd_utc;
    const index = times.flatMap((time, k) => (time !== null && curve.usable[k] && curve.flux_relative[k] !== null ? [k] : []));
    const zero = index.length ? Math.floor(times[index[0]]) : 0;
    const pick = (values) => index.map((k) => values[k]);
    plot.show({
      groups: [{ colour: "--blue", shape: "circle", x: pick(times).map((time) => time - zero), y: pick(curve.flux_relative), e: pick(curve.flux_relative_error) }],
      xLabel: `${times === curve.bjd ? "BJD (TDB)" : "JD (UTC)"} − ${zero}`,
      yLabel: "relative flux",
      robust: quantiles(pick(curve.flux_relative), [0.01, 0.99]),
    });
    told.textContent = `Star ${star}: ${row.cells[3].textContent}`;
  }

  rows.forEach((row, place) => {
    row.addEventListener("click", (event) => event.target.tagName !== "A" && choose(place));
    row.addEventListener("focus", () => choose(place));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA|BUTTON)$/.test(document.activeElement.tagName)) return;
    if (event.key === "j" || event.key === "ArrowDown") { event.preventDefault(); choose(chosen + 1); }
    if (event.key === "k" || event.key === "ArrowUp") { event.preventDefault(); choose(chosen - 1); }
    const button = form && { y: "confirmed", x: "refused" }[event.key];
    if (button) form.querySelector(`button[value="${button}"]`).click();
    if (event.key === "Enter" && chosen >= 0 && document.activeElement.tagName !== "A") location.assign(`/star/${rows[chosen].dataset.star}`);
  });
  const asked = rows.findIndex((row) => `#${row.id}` === location.hash);
  choose(Math.max(asked, 0));
})();
