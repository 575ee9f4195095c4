// Draws a scene on a plain canvas where WebGL is not there. While the map moves, cells that take too long wait.
const CELLS_MS_MAX = 40;
const EXACT_SCALE = 60; // Pixels a kilometre.

class FlatRenderer {
  constructor(canvas, model) {
    this.pen = canvas.getContext("2d");
    this.canvas = canvas;
    this.name = "flat";
    this.corners = model.cells.corners;
    this.cost = 0;
  }

  setCells(cells, colours) {
    this.cells = cells;
    this.colours = colours;
  }

  setPoints(points, colours) {
    this.points = points;
    this.colours = colours;
  }

  draw(camera, moving) {
    const { pen, canvas } = this, ratio = canvas.width / camera.width;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, camera.width, camera.height);
    if (!moving || this.cost < CELLS_MS_MAX) {
      const begun = performance.now();
      if (camera.tilt > 0.001 && !this.points.pillars) this.drawSolids(camera, riseUnit(camera));
      else this.drawCells(camera);
      this.cost = performance.now() - begun;
    }
    this.drawPoints(camera, riseUnit(camera));
  }

  // One path for each step of the colours.
  drawCells(camera) {
    const { cells, colours } = this;
    const paths = colours.ramp.map(() => new Path2D());
    this.measure(camera);
    for (let k = 0; k < cells.n; k++) {
      if (this.isOutside(camera, k)) continue;
      polygon(paths[cells.step[k]], this.around(camera, cells.x[k], cells.y[k], 0, this.low));
    }
    paths.forEach((path, step) => {
      this.pen.fillStyle = css(colours.ramp[step]);
      this.pen.fill(path);
    });
  }

  // The farthest first: the walls of each cell that face the eye in one shade, then its roof.
  drawSolids(camera, unit) {
    const { pen, cells, colours } = this;
    const depth = Float32Array.from({ length: cells.n }, (_, k) => camera.project(cells.x[k], cells.y[k], 0)[2]);
    const order = Uint32Array.from({ length: cells.n }, (_, k) => k).sort((one, other) => depth[other] - depth[one]);
    const roofs = colours.ramp.map((rgb) => css(rgb));
    const walls = colours.ramp.map((rgb) => css(rgb.map((one) => Math.round(one * 0.75))));
    this.measure(camera);
    for (const k of order) {
      if (this.isOutside(camera, k)) continue;
      const low = this.around(camera, cells.x[k], cells.y[k], 0, this.low);
      const high = this.around(camera, cells.x[k], cells.y[k], cells.rise[k] * unit, this.high);
      pen.fillStyle = walls[cells.step[k]];
      pen.beginPath();
      for (let side = 0; side < 12; side += 2) wall(pen, low, high, side, (side + 2) % 12);
      pen.fill();
      pen.fillStyle = roofs[cells.step[k]];
      pen.beginPath();
      polygon(pen, high);
      pen.fill();
    }
  }

  // Corners relative to the centre, in pixels before perspective.
  measure(camera) {
    this.low = new Float64Array(2 * this.corners.length);
    this.high = new Float64Array(2 * this.corners.length);
    this.offsets = this.corners.map(([x, y]) => [
      (x * camera.cb - y * camera.sb) * camera.scale, (x * camera.sb + y * camera.cb) * camera.scale * camera.cp]);
  }

  // Corners of a cell in pixels. Small cells are drawn as if each lay at one distance from the eye.
  around(camera, x, y, z, into) {
    const exact = camera.tilt > 0.001 && camera.scale > EXACT_SCALE;
    const at = camera.project(x, y, z), near = camera.eye / at[2];
    for (let k = 0; k < this.corners.length; k++) {
      const corner = exact ? camera.project(x + this.corners[k][0], y + this.corners[k][1], z) : null;
      into[2 * k] = corner ? corner[0] : at[0] + this.offsets[k][0] * near;
      into[2 * k + 1] = corner ? corner[1] : at[1] - this.offsets[k][1] * near;
    }
    return into;
  }

  isOutside(camera, k) {
    const at = camera.project(this.cells.x[k], this.cells.y[k], 0), margin = 0.3 * camera.scale + 4;
    return at[0] < -margin || at[0] > camera.width + margin || at[1] < -margin || at[1] > 2 * camera.height;
  }

  drawPoints(camera, unit) {
    const { pen, points, colours } = this;
    pen.lineWidth = 1;
    for (let k = 0; k < points.n; k++) {
      const level = points.level[k], radius = pointRadius(camera, level);
      const at = camera.project(points.x[k], points.y[k], points.rise[k] * unit);
      if (at[0] < -9 || at[0] > camera.width + 9 || at[1] < -9 || at[1] > camera.height + 9) continue;
      if (points.pillars && camera.tilt > 0.001) this.pillar(camera, k, at);
      pen.beginPath();
      pen.arc(at[0], at[1], radius, 0, 7);
      pen.fillStyle = css(colours.levels[level]);
      pen.fill();
      pen.strokeStyle = css(colours.rim, 0.85);
      pen.stroke();
    }
  }

  pillar(camera, k, top) {
    const { pen, points, colours } = this;
    const foot = camera.project(points.x[k], points.y[k], 0);
    pen.beginPath();
    pen.moveTo(foot[0], foot[1]);
    pen.lineTo(top[0], top[1]);
    pen.strokeStyle = css(colours.levels[points.level[k]], 0.8);
    pen.lineWidth = 3;
    pen.stroke();
    pen.lineWidth = 1;
  }
}

function polygon(path, at) {
  path.moveTo(at[0], at[1]);
  for (let k = 2; k < at.length; k += 2) path.lineTo(at[k], at[k + 1]);
  path.closePath();
}

// Walls that face away would cancel those in front.
function wall(path, low, high, from, to) {
  if ((low[to] - low[from]) * (high[from + 1] - low[from + 1]) - (low[to + 1] - low[from + 1]) * (high[from] - low[from]) >= 0) return;
  path.moveTo(low[from], low[from + 1]);
  path.lineTo(low[to], low[to + 1]);
  path.lineTo(high[to], high[to + 1]);
  path.lineTo(high[from], high[from + 1]);
  path.closePath();
}
