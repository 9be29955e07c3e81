"use strict";
// Comparison stars by hand: sums and ratios of fluxes that the server gave once, drawn anew at each choice.
(() => {
  const box = document.getElementById("chosen"), rows = [...document.querySelectorAll("#stars tbody tr[data-star]")];
  if (!rows.length) return;
  const told = box.querySelector(".told"), link = box.querySelector("a.save");
  let found = null;
  const plot = new PointPlot(box.querySelector(".plot"), { height: 300, told: (words) => { told.textContent = words || summary; } });
  let summary = "";

  const chosen = (name) => rows.filter((row) => row.querySelector(`input[name="${name}"]`).checked).map((row) => row.dataset.star);
  const median = (values) => {
    const sorted = values.filter((value) => value !== null).sort((a, b) => a - b), half = sorted.length / 2;
    return sorted.length ? (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2 : null;
  };

  // Flux over the sum of the references' fluxes where all of them are known, and its error; on the level of a curve.
  function relative(flux, error, references, level) {
    const ratio = flux.map((own, k) => {
      if (own === null || !(own > 0)) return null;
      let sum = 0, variance = 0;
      for (const star of references) {
        const one = found.stars[star].flux[k];
        if (one === null) return null;
        sum += one;
        variance += found.stars[star].error[k] ** 2;
      }
      return sum > 0 ? [own / sum, Math.hypot(error[k] / own, Math.sqrt(variance) / sum)] : null;
    });
    const middle = median(ratio.map((one, k) => one && level[k] !== null ? one[0] / level[k] : null)) ?? 1;
    return ratio.map((one) => one && [one[0] / middle, (one[1] * one[0]) / middle]);
  }

  const scatter = (values) => { const middle = median(values); return 1.4826 * (median(values.map((value) => value !== null ? Math.abs(value - middle) : null)) ?? NaN); };

  function show() {
    const references = chosen("reference"), checks = chosen("check").filter((star) => !references.includes(star));
    link.search = `?references=${references.join(",")}&checks=${checks.join(",")}`;
    if (!references.length) { told.textContent = "No star is chosen."; return; }
    const zero = Math.floor(Math.min(...found.time.filter((time) => time !== null)));
    const drawn = (curve, colour, shape, faded, name) => {
      const index = curve.flatMap((one, k) => (one && found.time[k] !== null ? [k] : []));
      return { colour, shape, faded, x: index.map((k) => found.time[k] - zero), y: index.map((k) => curve[k][0]), e: faded ? null : index.map((k) => curve[k][1]), about: (n) => `${name}: ${curve[index[n]][0].toFixed(5)} ± ${(curve[index[n]][1] ?? 0).toFixed(5)}, image ${found.image_id[index[n]]}` };
    };
    const flat = found.time.map(() => 1);
    const own = relative(found.flux, found.error, references, found.shown);
    const groups = [drawn(found.shown.map((value) => (value === null ? null : [value, null])), "--faint", "cross", true, "kept"), ...checks.slice(0, 3).map((star, i) => drawn(relative(found.stars[star].flux, found.stars[star].error, references, flat), ["--green", "--purple", "--orange"][i], "square", true, `check star ${star}`)), drawn(own, "--blue", "circle", false, "this choice")];
    plot.show({ groups, xLabel: `${found.is_bjd ? "BJD (TDB)" : "JD (UTC)"} − ${zero}`, yLabel: "relative flux", robust: quantiles(own.map((one) => one && one[0]), [0.01, 0.99]) });
    const points = own.filter(Boolean).length, checked = checks.map((star) => `check star ${star}: ${(1000 * scatter(relative(found.stars[star].flux, found.stars[star].error, references, flat).map((one) => one && one[0]))).toPrecision(3)} ‰`);
    summary = [`${references.length} stars, ${points} points, scatter ${(1000 * scatter(own.map((one) => one && one[0]))).toPrecision(3)} ‰; of the curve that is kept ${(1000 * scatter(found.shown)).toPrecision(3)} ‰`, ...checked].join("; ");
    told.textContent = summary;
  }

  rows.forEach((row) => row.addEventListener("change", show));
  fetched(`${box.dataset.place}/fluxes.json`).then((fluxes) => { found = fluxes; show(); }).catch((error) => { told.textContent = error.message; });
})();
