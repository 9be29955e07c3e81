"use strict";
// An image of tiles that is moved and zoomed, with its stars drawn over it. Pixels count from 0, y upwards.
class Viewer {
  static LABEL_FROM = 1.2; // screen pixels of an image pixel from which apertures are drawn at their size
  static REACH = 14; // screen pixels within which a click means a star

  constructor(box) {
    this.box = box;
    const { image, nx, ny, tile, source, star, marks } = box.dataset;
    Object.assign(this, { image, nx: Number(nx), ny: Number(ny), tileSize: Number(tile), star: Number(star) || null });
    this.named = JSON.parse(marks);
    this.tiles = new Map();
    this.stars = null;
    this.showsMarks = true;
    this.levels = 1;
    while (Math.max(this.nx >> (this.levels - 1), this.ny >> (this.levels - 1)) > 700) this.levels += 1;
    [this.sky, this.marks] = box.querySelectorAll("canvas");
    this.told = box.querySelector(".told");
    this.listen();
    new ResizeObserver(() => this.resize()).observe(box);
    if (source) fetch(source).then((answer) => answer.json()).then((found) => this.take(found));
  }

  take(found) {
    if (found.error) { this.told.textContent = found.error; return; }
    this.stars = found;
    if (this.star) {
      const k = found.source_id.indexOf(this.star);
      if (k >= 0) { this.centre = { x: found.x[k], y: found.y[k] }; this.zoom = Math.max(this.fitting(), Math.min(this.width, this.height) / 160); }
    }
    this.draw();
  }

  fitting() { return Math.min(this.width / this.nx, this.height / this.ny); }

  resize() {
    const ratio = devicePixelRatio || 1;
    [this.width, this.height] = [this.box.clientWidth, this.box.clientHeight];
    for (const canvas of [this.sky, this.marks]) { canvas.width = this.width * ratio; canvas.height = this.height * ratio; canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0); }
    if (!this.zoom) this.all();
    else this.draw();
  }

  all() { this.zoom = this.fitting(); this.centre = { x: this.nx / 2, y: this.ny / 2 }; this.draw(); }

  toScreen(x, y) { return [this.width / 2 + (x - this.centre.x) * this.zoom, this.height / 2 - (y - this.centre.y) * this.zoom]; }
  toImage(left, top) { return [this.centre.x + (left - this.width / 2) / this.zoom, this.centre.y - (top - this.height / 2) / this.zoom]; }

  zoomAt(left, top, factor) {
    const [x, y] = this.toImage(left, top), zoom = Math.min(Math.max(this.zoom * factor, 0.5 * this.fitting()), 40);
    this.zoom = zoom;
    this.centre = { x: x - (left - this.width / 2) / zoom, y: y + (top - this.height / 2) / zoom };
    this.draw();
  }

  move(left, top) { this.centre = { x: this.centre.x - left / this.zoom, y: this.centre.y + top / this.zoom }; this.draw(); }

  draw() {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => { this.waits = false; this.drawSky(); this.drawMarks(); });
  }

  drawSky() {
    const pen = this.sky.getContext("2d");
    pen.clearRect(0, 0, this.width, this.height);
    const ratio = devicePixelRatio || 1, wanted = Math.floor(Math.log2(1 / (this.zoom * ratio)));
    const level = Math.min(Math.max(wanted, 0), this.levels - 1);
    pen.imageSmoothingEnabled = this.zoom < 3;
    // Coarse tiles below fine ones, until these have come.
    for (let one = this.levels - 1; one >= level; one--) if (one === level || one === this.levels - 1) this.drawLevel(pen, one);
  }

  drawLevel(pen, level) {
    const step = 2 ** level, width = this.nx >> level, height = this.ny >> level, size = this.tileSize;
    for (let row = 0; row * size < height; row++) {
      for (let column = 0; column * size < width; column++) {
        const wide = Math.min(size, width - column * size), high = Math.min(size, height - row * size);
        // The first row of the picture is the last of the image; pixel centres are whole numbers.
        const [left, top] = this.toScreen(column * size * step - 0.5, (height - row * size) * step - 0.5);
        const [w, h] = [wide * step * this.zoom, high * step * this.zoom];
        if (left > this.width || top > this.height || left + w < 0 || top + h < 0) continue;
        const tile = this.tile(level, column, row);
        if (tile.complete && tile.naturalWidth) pen.drawImage(tile, left, top, w, h);
      }
    }
  }

  tile(level, column, row) {
    const url = `/image/${this.image}/${level}/${column}/${row}.png`;
    let tile = this.tiles.get(url);
    if (!tile) {
      tile = new Image();
      tile.onload = () => this.draw();
      tile.onerror = () => { this.told.textContent = "the image cannot be read: its file may have been deleted"; };
      tile.src = url;
      this.tiles.set(url, tile);
    }
    return tile;
  }

  drawMarks() {
    const pen = this.marks.getContext("2d"), colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    pen.clearRect(0, 0, this.width, this.height);
    if (!this.stars || !this.showsMarks) return;
    const { source_id, x, y, part, candidate, radii, annulus } = this.stars;
    const colours = { R: colour("--blue"), C: colour("--green"), V: colour("--orange"), S: colour("--faint"), T: colour("--red") };
    const plain = Math.max(7, Math.min(4 * this.zoom, 16)), crowded = source_id.length > 400;
    pen.lineWidth = 1.4;
    pen.font = "12px system-ui, sans-serif";
    for (let k = 0; k < source_id.length; k++) {
      const [left, top] = this.toScreen(x[k], y[k]);
      if (left < -60 || top < -60 || left > this.width + 60 || top > this.height + 60) continue;
      const isStar = source_id[k] === this.star, kind = isStar ? "T" : candidate?.[k] ? "V" : part?.[k] || "S";
      pen.strokeStyle = colours[kind];
      pen.globalAlpha = kind === "S" ? (crowded && this.zoom < 0.7 ? 0.35 : 0.8) : 1;
      const sized = radii?.length && this.zoom > Viewer.LABEL_FROM;
      for (const radius of sized ? radii.map((radius) => radius * this.zoom) : [plain]) { pen.beginPath(); pen.arc(left, top, radius, 0, 2 * Math.PI); pen.stroke(); }
      if (sized && isStar) {
        pen.setLineDash([5, 4]);
        for (const radius of annulus) { pen.beginPath(); pen.arc(left, top, radius * this.zoom, 0, 2 * Math.PI); pen.stroke(); }
        pen.setLineDash([]);
      }
      if (isStar && !sized) for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { pen.beginPath(); pen.moveTo(left + 1.3 * plain * dx, top + 1.3 * plain * dy); pen.lineTo(left + 2.6 * plain * dx, top + 2.6 * plain * dy); pen.stroke(); }
    }
    pen.globalAlpha = 1;
    for (const mark of this.named) {
      const [left, top] = this.toScreen(mark.x, mark.y);
      pen.fillStyle = colours[mark.name[0]];
      pen.fillText(mark.name, left + plain + 3, top - plain + 2);
    }
  }

  near(left, top) {
    if (!this.stars) return -1;
    let best = -1, least = Viewer.REACH ** 2;
    this.stars.source_id.forEach((_, k) => {
      const [x, y] = this.toScreen(this.stars.x[k], this.stars.y[k]), far = (x - left) ** 2 + (y - top) ** 2;
      if (far < least) { least = far; best = k; }
    });
    return best;
  }

  tell(left, top) {
    const k = this.near(left, top), [x, y] = this.toImage(left, top);
    if (k < 0) { this.told.textContent = x > -0.5 && y > -0.5 && x < this.nx - 0.5 && y < this.ny - 0.5 ? `x = ${x.toFixed(1)}, y = ${y.toFixed(1)}` : ""; return; }
    const { source_id, ra_deg, dec_deg, g_mag, candidate } = this.stars;
    const words = [`star ${source_id[k]}`];
    if (g_mag && g_mag[k] !== null) words.push(`G = ${g_mag[k].toFixed(2)}`);
    if (ra_deg && ra_deg[k] !== null) words.push(`${ra_deg[k].toFixed(5)}, ${dec_deg[k].toFixed(5)}`);
    if (candidate?.[k]) words.push("candidate");
    this.told.textContent = words.join(", ");
  }

  listen() {
    const down = new Map();
    let moved = 0, apart = 0;
    const place = (event) => { const edge = this.box.getBoundingClientRect(); return [event.clientX - edge.left, event.clientY - edge.top]; };
    this.box.addEventListener("pointerdown", (event) => {
      if (event.target.closest("button")) return;
      this.box.setPointerCapture(event.pointerId);
      down.set(event.pointerId, place(event));
      moved = 0;
      apart = 0;
    });
    this.box.addEventListener("pointermove", (event) => {
      const now = place(event), before = down.get(event.pointerId);
      if (!before) { this.tell(...now); return; }
      down.set(event.pointerId, now);
      const others = [...down.values()];
      if (others.length === 2) {
        const far = Math.hypot(others[0][0] - others[1][0], others[0][1] - others[1][1]);
        if (apart) this.zoomAt((others[0][0] + others[1][0]) / 2, (others[0][1] + others[1][1]) / 2, far / apart);
        apart = far;
        moved = 99;
      } else {
        moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
        this.move(now[0] - before[0], now[1] - before[1]);
      }
    });
    const up = (event) => {
      const was = down.delete(event.pointerId);
      if (!was || event.type === "pointercancel" || moved > 5 || down.size) return;
      const k = this.near(...place(event));
      if (k >= 0) location.assign(`/star/${this.stars.source_id[k]}`);
    };
    this.box.addEventListener("pointerup", up);
    this.box.addEventListener("pointercancel", up);
    this.box.addEventListener("wheel", (event) => { event.preventDefault(); this.zoomAt(...place(event), Math.exp(-0.0015 * event.deltaY)); }, { passive: false });
    const middle = () => [this.width / 2, this.height / 2];
    const acts = {
      in: () => this.zoomAt(...middle(), 1.5), out: () => this.zoomAt(...middle(), 1 / 1.5), all: () => this.all(),
      names: (button) => { this.showsMarks = !this.showsMarks; button.setAttribute("aria-pressed", String(this.showsMarks)); this.draw(); },
    };
    this.box.querySelectorAll("button").forEach((button) => button.addEventListener("click", () => acts[button.dataset.do](button)));
    const keys = { "+": acts.in, "=": acts.in, "-": acts.out, 0: acts.all, ArrowLeft: () => this.move(60, 0), ArrowRight: () => this.move(-60, 0), ArrowUp: () => this.move(0, 60), ArrowDown: () => this.move(0, -60) };
    this.box.addEventListener("keydown", (event) => { if (keys[event.key]) { event.preventDefault(); keys[event.key](); } });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }
}

document.querySelectorAll(".viewer").forEach((box) => new Viewer(box));
