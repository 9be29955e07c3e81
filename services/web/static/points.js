"use strict";
// Points with errors on uPlot's axes: several nights, a shape and a colour each, and marks on what is flagged.
class PointPlot {
  static COLOURS = ["--blue", "--red", "--green", "--purple", "--orange", "--sky"];
  static SHAPES = ["circle", "square", "triangle", "diamond", "down", "plus"];

  static colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  // Draws one mark of a radius around a place; hollow ones are points that may not be used.
  static mark(pen, shape, x, y, r, hollow) {
    pen.beginPath();
    if (shape === "circle") pen.arc(x, y, r, 0, 2 * Math.PI);
    else if (shape === "square") pen.rect(x - r, y - r, 2 * r, 2 * r);
    else if (shape === "cross") { pen.moveTo(x - r, y - r); pen.lineTo(x + r, y + r); pen.moveTo(x - r, y + r); pen.lineTo(x + r, y - r); }
    else if (shape === "plus") { pen.moveTo(x - r, y); pen.lineTo(x + r, y); pen.moveTo(x, y - r); pen.lineTo(x, y + r); }
    else {
      const corners = { triangle: [[0, -1.2], [1.1, 0.8], [-1.1, 0.8]], down: [[0, 1.2], [1.1, -0.8], [-1.1, -0.8]], diamond: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]] }[shape];
      corners.forEach(([dx, dy], i) => (i ? pen.lineTo(x + r * dx, y + r * dy) : pen.moveTo(x + r * dx, y + r * dy)));
      pen.closePath();
    }
    if (hollow || shape === "cross" || shape === "plus") pen.stroke();
    else pen.fill();
  }

  constructor(element, { height, told, open }) {
    this.element = element;
    this.height = height;
    this.told = told ?? (() => {});
    this.open = open ?? (() => {});
    this.groups = [];
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.given && this.show(this.given));
  }

  size() {
    return { width: Math.max(this.element.clientWidth, 200), height: this.height };
  }

  // groups: [{colour, shape, x, y, e, hollow, shapes, large, about}], lists of one length each.
  show(given) {
    this.given = given;
    this.groups = given.groups;
    this.plot?.destroy();
    this.element.replaceChildren();
    const every = given.groups.flatMap((group) => group.x.map((x, i) => [x, group.y[i]])).sort((a, b) => a[0] - b[0]);
    const ink = PointPlot.colour("--faint"), line = PointPlot.colour("--line");
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif" };
    this.plot = new uPlot(
      {
        ...this.size(),
        scales: { x: { time: false, range: (_, low, high) => PointPlot.padded(low, high, 0.02) }, y: { dir: given.flip ? -1 : 1, range: (_, low, high) => this.range(low, high, given.robust) } },
        axes: [{ ...axis, label: given.xLabel, values: given.xValues }, { ...axis, label: given.yLabel, size: 76 }],
        series: [{}, { paths: () => null, points: { show: false } }],
        cursor: { drag: { x: true, y: false }, points: { show: false } },
        hooks: { draw: [(plot) => this.draw(plot)], setCursor: [(plot) => this.hover(plot)] },
        legend: { show: false },
      },
      [every.map((point) => point[0]), every.map((point) => point[1])],
      this.element,
    );
    this.plot.over.addEventListener("click", () => this.near && this.plot.select.width < 2 && this.open(this.near));
    this.plot.over.style.cursor = "crosshair";
  }

  // All points, but for the few that lie so far off that the others would be a line.
  range(low, high, robust) {
    if (low === null || high === null) return [0, 1];
    if (robust && robust[1] > robust[0]) {
      const room = 0.6 * (robust[1] - robust[0]);
      [low, high] = [Math.max(low, robust[0] - room), Math.min(high, robust[1] + room)];
    }
    return PointPlot.padded(low, high, 0.06);
  }

  static padded(low, high, share) {
    if (low === null || high === null) return [0, 1];
    const pad = share * (high - low) || 0.01 * Math.abs(high) || 1;
    return [low - pad, high + pad];
  }

  draw(plot) {
    const pen = plot.ctx, ratio = devicePixelRatio || 1, box = plot.bbox;
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top, box.width, box.height);
    pen.clip();
    for (const group of this.groups) {
      const colour = PointPlot.colour(group.colour), r = (group.large ? 4.2 : 2.6) * ratio;
      pen.lineWidth = (group.large ? 1.6 : 1) * ratio;
      for (let i = 0; i < group.x.length; i++) {
        const x = plot.valToPos(group.x[i], "x", true), y = plot.valToPos(group.y[i], "y", true);
        if (x < box.left - r || x > box.left + box.width + r) continue;
        pen.strokeStyle = pen.fillStyle = colour;
        if (group.e && group.e[i] !== null) {
          pen.globalAlpha = group.large ? 0.9 : 0.35;
          pen.beginPath();
          pen.moveTo(x, plot.valToPos(group.y[i] - group.e[i], "y", true));
          pen.lineTo(x, plot.valToPos(group.y[i] + group.e[i], "y", true));
          pen.stroke();
        }
        pen.globalAlpha = group.faded ? 0.35 : 1;
        PointPlot.mark(pen, group.shapes?.[i] ?? group.shape, x, y, r, group.hollow?.[i]);
      }
    }
    if (this.near) {
      pen.globalAlpha = 1;
      pen.strokeStyle = PointPlot.colour("--ink");
      PointPlot.mark(pen, "circle", plot.valToPos(this.near.x, "x", true), plot.valToPos(this.near.y, "y", true), 7 * ratio, true);
    }
    pen.restore();
  }

  hover(plot) {
    const { left, top } = plot.cursor;
    let best = null, least = 24 * 24;
    if (left >= 0) {
      for (const group of this.groups) {
        if (!group.about) continue;
        for (let i = 0; i < group.x.length; i++) {
          const dx = plot.valToPos(group.x[i], "x") - left, dy = plot.valToPos(group.y[i], "y") - top;
          if (dx * dx + dy * dy < least) {
            least = dx * dx + dy * dy;
            best = { x: group.x[i], y: group.y[i], group, i };
          }
        }
      }
    }
    if (best?.x !== this.near?.x || best?.y !== this.near?.y) {
      this.near = best;
      this.told(best ? best.group.about(best.i) : "");
      plot.redraw(false);
    }
  }
}

// Shares of the sorted values, for a range that few wild points do not stretch.
function quantiles(values, shares) {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return sorted.length ? shares.map((share) => sorted[Math.round(share * (sorted.length - 1))]) : null;
}

async function fetched(url) {
  const answer = await fetch(url);
  const found = await answer.json().catch(() => ({ error: `the service answered ${answer.status}` }));
  if (!answer.ok) throw new Error(found.error);
  return found;
}
