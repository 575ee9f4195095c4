// What is to be drawn: cells of the chosen layer and the points that the filters let through, for either renderer.
const LAYERS = ["residents", "present", "dangers_open", "risk_max"];
const RISE_MAX = 1.5; // Heights of what lies beyond the scale's end.

// The scale of a layer ends at its 99th percentile: one crowded cell must not make all others pale.
function scaleOf(values, linear) {
  const sorted = Float32Array.from(values).filter((one) => one > 0).sort();
  const top = sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] : 1;
  return { top, share: linear ? (one) => Math.min(1, one / top) : (one) => Math.min(1, Math.sqrt(one / top)),
    value: linear ? (share) => share * top : (share) => share * share * top };
}

function cellsOf(model, layer) {
  const { cells } = model;
  if (!LAYERS.includes(layer)) return { n: 0, of: [], at: new Map(), scale: null };
  const values = cells[layer], scale = scaleOf(values, layer === "risk_max");
  const of = [], x = [], y = [], step = [], rise = [];
  const riseOfCell = new Float32Array(cells.n);
  for (let k = 0; k < cells.n; k++) {
    if (!(values[k] > 0)) continue;
    of.push(k);
    x.push(cells.x[k]);
    y.push(cells.y[k]);
    step.push(Math.round(scale.share(values[k]) * (RAMP_STEPS - 1)));
    riseOfCell[k] = Math.min(RISE_MAX, values[k] / scale.top);
    rise.push(riseOfCell[k]);
  }
  return { n: of.length, of, x: Float32Array.from(x), y: Float32Array.from(y), step: Uint8Array.from(step),
    rise: Float32Array.from(rise), riseOfCell, scale };
}

// Points stand on their cell, or, as pillars, are as high as their risk. The gravest come last and lie on top.
function pointsOf(model, shown, cells, pillars) {
  const { points } = model;
  const of = [];
  for (let k = 0; k < points.n; k++) if (shown[k]) of.push(k);
  const pick = (values) => Float32Array.from(of, (k) => values[k]);
  const standing = (k) => (cells.riseOfCell && points.cell[k] >= 0 ? cells.riseOfCell[points.cell[k]] : 0);
  return { n: of.length, of, pillars, x: pick(points.x), y: pick(points.y),
    rise: Float32Array.from(of, (k) => (pillars ? points.pillar[k] : standing(k))),
    level: Uint8Array.from(of, (k) => points.colour[k]) };
}

// Kilometres of a height of 1: a twelfth of the window for the whole city, and less than in proportion when nearer.
function riseUnit(camera) {
  const whole = (0.08 * camera.height) / camera.fitted;
  return camera.tilt * whole * Math.min(1, camera.fitted / camera.scale) ** 0.55;
}

// Radius of a point, pixels: graver ones are larger, so that colour is not all that tells them apart.
const LEVEL_SIZE = [1.5, 1.2, 1, 0.9];
function pointRadius(camera, level) {
  const near = Math.log2(camera.scale / camera.fitted), small = Math.min(2, 0.6 * Math.sqrt(camera.fitted));
  return Math.min(8, Math.max(0.9 * small, small + near * 0.95)) * LEVEL_SIZE[level];
}
