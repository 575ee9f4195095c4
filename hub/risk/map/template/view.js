// The map: three canvases, what is on them, and when they are drawn.
const MOVE_MS = 420, REST_MS = 140;

class View {
  constructor(model, selection, draw) {
    Object.assign(this, { model, selection, camera: new Camera(), layer: "residents", height: "cells" });
    this.marks = { selected: -1, hovered: -1, district: "", riseOf: (k) => this.riseOf(k) };
    this.canvases = ["ground", "scene", "marks"].map(byId);
    this.buckets = bucketsOf(model.cells);
    this.renderer = this.rendererOf(this.canvases[1], draw);
    this.listeners = [];
    this.movedAt = 0;
    this.bounds = boundsOf(model.districts.flatMap((one) => one.rings));
    this.colour();
    this.resize();
    this.home();
    new ResizeObserver(() => this.resize()).observe(byId("stage"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.colour());
  }

  // `draw`: "flat" or "solid", whatever the machine is good at.
  rendererOf(canvas, draw) {
    if (draw === "flat") return new FlatRenderer(canvas, this.model);
    try {
      return new SolidRenderer(canvas, this.model, draw === "solid");
    } catch { // No WebGL here, or not enough of it: a canvas that gave it has no 2D any more.
      const fresh = canvas.cloneNode();
      canvas.replaceWith(fresh);
      this.canvases[1] = fresh;
      return new FlatRenderer(fresh, this.model);
    }
  }

  colour() {
    this.colours = coloursOf(document.documentElement);
    this.rebuild();
  }

  rebuild() {
    this.cells = cellsOf(this.model, this.layer);
    this.renderer.setCells(this.cells, this.colours);
    showLegend(byId("legend"), this.model, this.cells, this.layer, this.colours);
    this.filter();
  }

  filter() {
    this.points = pointsOf(this.model, this.selection.shown, this.cells, this.height === "points");
    this.renderer.setPoints(this.points, this.colours);
    this.marks.district = this.selection.filters.district;
    this.ask();
  }

  riseOf(k) {
    if (this.points.pillars) return this.model.points.pillar[k];
    const cell = this.model.points.cell[k];
    return this.cells.riseOfCell && cell >= 0 ? this.cells.riseOfCell[cell] : 0;
  }

  resize() {
    const box = byId("stage").getBoundingClientRect();
    if (!box.width || !box.height) return;
    const first = this.camera.width === 1;
    Object.assign(this.camera, { width: box.width, height: box.height });
    for (const canvas of this.canvases) sized(canvas, this.camera);
    if (!first) this.camera.fitted = this.fittedScale();
    this.draw();
  }

  fittedScale() {
    const whole = new Camera();
    Object.assign(whole, { width: this.camera.width, height: this.camera.height });
    whole.fit(this.bounds);
    return whole.scale;
  }

  home() {
    this.camera.fitted = this.fittedScale();
    this.camera.bearing = this.tilted ? -0.22 : 0;
    this.camera.fit(this.bounds, this.tilted ? 0.83 : 0.92);
    this.ask();
  }

  // Draws soon, once, however often it is asked.
  ask() {
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      this.draw();
    });
  }

  moved() {
    this.movedAt = performance.now();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.ask(), REST_MS);
    this.ask();
  }

  draw() {
    if (!this.renderer || !this.points) return;
    const { camera, model, colours, marks } = this;
    camera.turn();
    drawGround(this.canvases[0], camera, model, colours);
    this.renderer.draw(camera, performance.now() - this.movedAt < REST_MS - 20);
    drawMarks(this.canvases[2], camera, model, colours, marks);
    showScale(byId("scale"), camera);
    for (const one of this.listeners) one();
  }

  // Goes there in a smooth move; at once for those who want no motion.
  go(target) {
    const { camera } = this;
    cancelAnimationFrame(this.going);
    this.target = target;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches || this.still) {
      Object.assign(camera, target);
      this.ask();
      return;
    }
    const from = Object.fromEntries(Object.keys(target).map((name) => [name, camera[name]])), begun = performance.now();
    const step = () => {
      const share = Math.min(1, (performance.now() - begun) / MOVE_MS), eased = share * share * (3 - 2 * share);
      for (const name of Object.keys(target)) camera[name] = from[name] + (target[name] - from[name]) * eased;
      this.moved();
      if (share < 1) this.going = requestAnimationFrame(step);
      else this.target = {};
    };
    step();
  }

  goTo(bounds) {
    const there = new Camera();
    Object.assign(there, { width: this.camera.width, height: this.camera.height });
    there.fit(bounds, 0.8);
    this.go({ x: there.x, y: there.y, scale: there.scale });
  }

  goToPoint(k) {
    const { x, y } = this.model.points;
    this.go({ ...this.target, x: x[k], y: y[k], scale: Math.max(this.camera.scale, this.camera.fitted * 5) });
  }

  tilt(on) {
    this.tilted = on;
    const whole = Math.abs(this.camera.scale / this.camera.fitted - 1) < 0.15; // The near side is seen larger.
    this.go({ tilt: on ? 1 : 0, bearing: on ? this.camera.bearing || -0.22 : 0,
      scale: whole ? this.camera.fitted * (on ? 0.9 : 1) : this.camera.scale });
  }
}
