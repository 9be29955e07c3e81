"use strict";
// A star's light curves: what is shown of them is chosen here, the numbers are the server's.
(() => {
  const box = document.getElementById("curve");
  if (!box) return;
  const controls = document.getElementById("controls"), told = box.querySelector(".told");
  const nightList = box.querySelector(".nights"), flagList = box.querySelector(".flags");
  const LABELS = { flux_relative: "relative flux", flux_detrended: "detrended flux", mag: "G (mag)", flux_raw: "flux (ADU)" };
  const FLAG_SHAPES = { 512: "cross", 4: "triangle", 256: "down", 128: "diamond", 64: "plus", 16: "square", 8: "square" };
  const MINUTES_A_DAY = 1440;
  let found = null, hidden = new Set(), isFirst = true;

  const asked = new URLSearchParams(location.search);
  for (const field of controls.elements) {
    if (!field.name || !asked.has(field.name)) continue;
    if (field.type === "checkbox") field.checked = asked.get(field.name) !== "0";
    else field.value = asked.get(field.name);
  }
  controls.addEventListener("submit", (event) => event.preventDefault());

  const plot = new PointPlot(box.querySelector(".plot"), {
    height: 400,
    told: (words) => { told.textContent = words || summary(); },
    open: (near) => near.group.images && location.assign(`/frame/${near.group.images[near.i]}?star=${location.pathname.split("/")[2]}`),
  });

  const value = (name) => controls.elements[name].value;
  const number = (name) => (Number(value(name)) > 0 ? Number(value(name)) : null);
  const chosenMethod = () => controls.elements.method?.value ?? "";
  const usesBjd = () => found.curves.every((curve) => curve.bjd.some((time) => time !== null));
  const times = (curve) => (usesBjd() ? curve.bjd : curve.jd_utc);

  function summary() {
    if (!found) return "";
    const points = found.curves.reduce((sum, curve) => sum + curve.usable.filter(Boolean).length, 0);
    const methods = [...new Set(found.curves.map((curve) => curve.method))].join(", ");
    return [`${points} usable points, ${found.curves.length} night${found.curves.length === 1 ? "" : "s"}, method ${methods}, aperture ${[...new Set(found.curves.map((curve) => curve.aperture_name))].join("; ")}`, ...found.notes].join(". ");
  }

  async function read() {
    told.textContent = "The curve is being read …";
    try {
      found = await fetched(`${box.dataset.url}?aperture=${value("aperture")}&method=${chosenMethod()}`);
    } catch (error) {
      told.textContent = error.message;
      return;
    }
    if (isFirst && !asked.has("quantity") && found.curves.length > 1 && found.curves.every((curve) => curve.mag.some((mag) => mag !== null))) controls.elements.quantity.value = "mag";
    isFirst = false;
    listNights();
    show();
  }

  function listNights() {
    nightList.replaceChildren(...found.curves.map((curve, i) => entry(colourOf(i), shapeOf(i), false, curve.title, () => {
      hidden.has(i) ? hidden.delete(i) : hidden.add(i);
      show();
    })));
  }

  const colourOf = (i) => PointPlot.COLOURS[i % PointPlot.COLOURS.length];
  const shapeOf = (i) => PointPlot.SHAPES[Math.floor(i / PointPlot.COLOURS.length) % PointPlot.SHAPES.length];

  function entry(colour, shape, hollow, words, toggled) {
    const item = document.createElement("li"), label = document.createElement("label"), sign = document.createElement("canvas");
    sign.width = sign.height = 28;
    const pen = sign.getContext("2d");
    pen.strokeStyle = pen.fillStyle = PointPlot.colour(colour);
    pen.lineWidth = 2;
    PointPlot.mark(pen, shape, 14, 14, 8, hollow);
    if (toggled) {
      const check = document.createElement("input");
      check.type = "checkbox";
      check.checked = true;
      check.addEventListener("change", toggled);
      label.append(check, " ");
    }
    label.append(sign, words);
    item.append(label);
    return item;
  }

  const why = (curve, i) => {
    const reasons = found.flags.filter((flag) => flag.spoils && curve.flag[i] & flag.bit).map((flag) => (flag.bit === 512 ? `frame rejected: ${curve.reasons[curve.image_id[i]] ?? "?"}` : flag.words));
    return curve.usable[i] ? "" : reasons.join(", ") || "not measured";
  };
  const shapeOfFlag = (flag) => FLAG_SHAPES[[512, 4, 256, 128, 64, 16, 8].find((bit) => flag & bit)] ?? "square";

  function show() {
    if (!found) return;
    const quantity = value("quantity"), period = number("period"), bins = number("bins");
    const drawn = found.curves.flatMap((curve, i) => (hidden.has(i) ? [] : [[curve, i]]));
    const first = Math.min(...found.curves.flatMap((curve) => times(curve).filter((time) => time !== null)));
    const epoch = number("epoch") ?? first, zero = Math.floor(first);
    const place = (time) => (period ? ((((time - epoch) / period + 0.5) % 1) + 1) % 1 - 0.5 : time - zero);
    const groups = [], usable = [], counts = new Map();
    for (const [curve, i] of drawn) {
      const one = { colour: colourOf(i), shape: shapeOf(i), x: [], y: [], e: [], images: [], index: [], faded: Boolean(bins) };
      const spoiled = { ...one, x: [], y: [], e: null, hollow: [], shapes: [], images: [], index: [], faded: false, colour: "--faint" };
      times(curve).forEach((time, k) => {
        const y = curve[quantity][k];
        if (time === null || y === null) return;
        if (curve.usable[k]) {
          usable.push(y);
          one.x.push(place(time)); one.y.push(y); one.e.push(curve[`${quantity}_error`][k]);
          one.images.push(curve.image_id[k]); one.index.push(k);
        } else if (controls.elements.spoiled.checked) {
          spoiled.x.push(place(time)); spoiled.y.push(y); spoiled.hollow.push(true);
          spoiled.shapes.push(shapeOfFlag(curve.flag[k])); spoiled.images.push(curve.image_id[k]); spoiled.index.push(k);
        }
        if (!curve.usable[k]) found.flags.forEach((flag) => flag.spoils && curve.flag[k] & flag.bit && counts.set(flag, (counts.get(flag) ?? 0) + 1));
      });
      for (const group of [one, spoiled]) {
        const indices = group.index;
        group.about = (n) => {
          const k = indices[n], error = curve[`${quantity}_error`][k], digits = quantity === "flux_raw" ? 1 : 5;
          return `${usesBjd() ? "BJD" : "JD"} ${times(curve)[k].toFixed(6)}: ${curve[quantity][k].toFixed(digits)}${error === null ? "" : ` ± ${error.toFixed(digits)}`}, observation ${curve.observation}, image ${curve.image_id[k]}${curve.usable[k] ? "" : `; ${why(curve, k)}`} (click: the frame)`;
        };
      }
      groups.push(spoiled, one);
      if (bins) groups.push(binned(one, bins / MINUTES_A_DAY / (period || 1), i));
      if (!controls.elements.errors.checked || bins) one.e = null;
    }
    flagList.replaceChildren(...[...counts].map(([flag, count]) => entry("--faint", shapeOfFlag(flag.bit), true, `${flag.words}: ${count} point${count === 1 ? "" : "s"}`)));
    if (!usable.length && !groups.some((group) => group.x.length)) {
      plot.show({ groups: [], xLabel: "", yLabel: LABELS[quantity] });
      told.textContent = `There is no ${LABELS[quantity]} of this star.`;
      return;
    }
    plot.show({
      groups,
      flip: quantity === "mag",
      robust: quantiles(usable, [0.01, 0.99]),
      xLabel: period ? `phase, period ${period} d` : `${usesBjd() ? "BJD (TDB)" : "JD (UTC)"} − ${zero}`,
      yLabel: LABELS[quantity],
    });
    told.textContent = summary();
  }

  // Weighted means of points that lie in one bin; errors are those of the mean.
  function binned(group, width, i) {
    const cells = new Map();
    group.x.forEach((x, k) => {
      const weight = group.e[k] > 0 ? 1 / group.e[k] ** 2 : 0;
      if (!weight) return;
      const key = Math.floor(x / width), cell = cells.get(key) ?? { w: 0, x: 0, y: 0, n: 0 };
      cell.w += weight; cell.x += weight * x; cell.y += weight * group.y[k]; cell.n += 1;
      cells.set(key, cell);
    });
    const bins = [...cells.values()];
    return {
      colour: colourOf(i), shape: shapeOf(i), large: true,
      x: bins.map((bin) => bin.x / bin.w), y: bins.map((bin) => bin.y / bin.w), e: bins.map((bin) => 1 / Math.sqrt(bin.w)),
      about: (n) => `mean of ${bins[n].n} points: ${(bins[n].y / bins[n].w).toFixed(5)} ± ${(1 / Math.sqrt(bins[n].w)).toFixed(5)}`,
    };
  }

  // What was chosen stands in the address: it can be kept and sent. Only then: it would hold up whoever leaves.
  function remember() {
    const kept = new URLSearchParams();
    for (const name of ["quantity", "aperture", "bins", "period", "epoch"]) if (value(name) && value(name) !== "best") kept.set(name, value(name));
    if (controls.elements.method && controls.elements.method.selectedIndex > 0) kept.set("method", chosenMethod());
    for (const name of ["spoiled", "errors"]) if (!controls.elements[name].checked) kept.set(name, "0");
    history.replaceState(null, "", `${location.pathname}?${kept}`);
  }

  async function findPeriod() {
    const button = controls.elements.find;
    button.disabled = true;
    told.textContent = "The period is being looked for …";
    try {
      const best = await fetched(`${box.dataset.periodUrl}?aperture=${value("aperture")}`);
      controls.elements.period.value = best.period_d.toPrecision(9);
      controls.elements.epoch.value = best.faintest.toFixed(5);
      show();
      remember();
      told.textContent = `Period ${best.period_d.toPrecision(7)} ± ${best.period_error_d.toPrecision(2)} d, amplitude ${best.amplitude_mag.toPrecision(3)} mag, false alarm ${best.false_alarm.toPrecision(2)}${best.alternatives.length ? `; others: ${best.alternatives.slice(0, 4).map((one) => `${one.period_d.toPrecision(6)} d`).join(", ")}` : ""}`;
    } catch (error) {
      told.textContent = error.message;
    }
    button.disabled = false;
  }

  controls.addEventListener("change", (event) => {
    remember();
    if (event.target.name === "aperture" || event.target.name === "method") {
      document.querySelectorAll("a.save").forEach((link) => { link.search = `?aperture=${value("aperture")}`; });
      read();
    } else show();
  });
  controls.elements.find.addEventListener("click", findPeriod);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(document.activeElement.tagName)) return;
    const field = { f: "period", b: "bins" }[event.key];
    if (field) { event.preventDefault(); controls.elements[field].focus(); }
    if (event.key === "p") findPeriod();
  });
  read();
})();
