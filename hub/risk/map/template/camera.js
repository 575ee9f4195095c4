// From kilometres to pixels and back. Tilt 0 is the flat map: there, the plane of height 0 is seen without perspective.
const TILT_MAX = (58 * Math.PI) / 180;
const EYE = 1.5; // Distance of the eye, in heights of the window.
const SCALE_MIN = 3, SCALE_MAX = 900; // Pixels a kilometre.

class Camera {
  constructor() {
    Object.assign(this, { x: 0, y: 0, scale: 10, bearing: 0, tilt: 0, width: 1, height: 1, fitted: 10 });
  }

  // Sines and cosines, once a frame.
  turn() {
    const pitch = this.tilt * TILT_MAX;
    this.cb = Math.cos(this.bearing);
    this.sb = Math.sin(this.bearing);
    this.cp = Math.cos(pitch);
    this.sp = Math.sin(pitch);
    this.eye = EYE * this.height;
  }

  // [pixels right, pixels down, distance from the eye]
  project(x, y, z) {
    const u = (x - this.x) * this.scale, v = (y - this.y) * this.scale, w = z * this.scale;
    const across = u * this.cb - v * this.sb, along = u * this.sb + v * this.cb;
    const depth = this.eye + along * this.sp - w * this.cp;
    const k = this.eye / depth;
    return [this.width / 2 + across * k, this.height / 2 - (along * this.cp + w * this.sp) * k, depth];
  }

  // The place of height z that is seen at a pixel.
  ground(px, py, z = 0) {
    const right = (px - this.width / 2) / this.eye, up = (this.height / 2 - py) / this.eye, w = z * this.scale;
    const along = (up * (this.eye - w * this.cp) - w * this.sp) / (this.cp - up * this.sp);
    const across = right * (this.eye + along * this.sp - w * this.cp);
    return [this.x + (across * this.cb + along * this.sb) / this.scale,
      this.y + (along * this.cb - across * this.sb) / this.scale];
  }

  // Moves so that what was seen at one pixel is seen at another.
  drag(fromX, fromY, toX, toY) {
    const from = this.ground(fromX, fromY), to = this.ground(toX, toY);
    this.x += from[0] - to[0];
    this.y += from[1] - to[1];
  }

  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const before = this.ground(px, py);
    this.scale = Math.min(SCALE_MAX, Math.max(SCALE_MIN, this.scale * factor));
    const after = this.ground(px, py);
    this.x += before[0] - after[0];
    this.y += before[1] - after[1];
  }

  fit(bounds, margin = 0.92) {
    const wide = Math.max(1, bounds[2] - bounds[0]), high = Math.max(1, bounds[3] - bounds[1]);
    this.x = (bounds[0] + bounds[2]) / 2;
    this.y = (bounds[1] + bounds[3]) / 2;
    this.scale = Math.min(SCALE_MAX, Math.max(SCALE_MIN, margin * Math.min(this.width / wide, this.height / high)));
  }
}
