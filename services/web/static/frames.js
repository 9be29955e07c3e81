"use strict";
// Quality of an observation's frames over the night; a click opens the frame.
(() => {
  const box = document.getElementById("quality");
  if (!box) return;
  const told = box.querySelector(".told"), choice = document.getElementById("quantity");
  let found = null;
  const about = (k) => `frame ${found.frame_id[k]}, ${found.hours[k].toFixed(3)} h, ${choice.selectedOptions[0].text} ${found[choice.value][k].toPrecision(4)}${found.good[k] === 0 ? `; rejected: ${found.reason[k] ?? "?"}` : ""}`;
  const plot = new PointPlot(box.querySelector(".plot"), {
    height: 240,
    told: (words) => { told.textContent = words; },
    open: (near) => { const image = found.image_id[near.group.index[near.i]]; if (image) location.assign(`/frame/${image}`); },
  });
  function show() {
    const values = found[choice.value], groups = [false, true].map((rejected) => {
      const index = values.flatMap((y, k) => (y !== null && (found.good[k] === 0) === rejected ? [k] : []));
      return { colour: rejected ? "--red" : "--blue", shape: rejected ? "cross" : "circle", x: index.map((k) => found.hours[k]), y: index.map((k) => values[k]), index, about: (n) => about(index[n]) };
    });
    plot.show({ groups, xLabel: "hours since the first frame", yLabel: choice.selectedOptions[0].text });
    told.textContent = groups.some((group) => group.x.length) ? "" : "No frame has it.";
  }
  choice.addEventListener("change", show);
  fetched(box.dataset.url).then((columns) => { found = columns; show(); }).catch((error) => { told.textContent = error.message; });
})();
