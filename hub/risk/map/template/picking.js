// What lies at a pixel.
const REACH_PX = 9;
const BUCKET_KM = 0.5;

// The shown point that is nearest to a pixel, the gravest of those that are equally near; -1 for none.
function pointAt(camera, points, px, py) {
  const unit = riseUnit(camera);
  let best = -1, nearest = Infinity;
  for (let k = points.n - 1; k >= 0; k--) {
    const at = camera.project(points.x[k], points.y[k], points.rise[k] * unit);
    const away = Math.hypot(at[0] - px, at[1] - py) - pointRadius(camera, points.level[k]);
    if (away < REACH_PX && away < nearest - 0.5) {
      nearest = away;
      best = points.of[k];
    }
  }
  return best;
}

// Centres of cells by squares of half a kilometre.
function bucketsOf({ n, x, y }) {
  const buckets = new Map();
  for (let k = 0; k < n; k++) {
    const key = bucket(x[k], y[k]);
    if (!buckets.has(key)) buckets.set(key, []);
    buckets.get(key).push(k);
  }
  return buckets;
}

const bucket = (x, y) => Math.floor(x / BUCKET_KM) * 4096 + Math.floor(y / BUCKET_KM);

// The cell at a place: that of the nearest centre, if it is near enough.
function cellNear(cells, buckets, x, y) {
  let best = -1, nearest = 0.21 ** 2;
  for (let dx = -1; dx < 2; dx++) {
    for (let dy = -1; dy < 2; dy++) {
      for (const k of buckets.get(bucket(x + dx * BUCKET_KM, y + dy * BUCKET_KM)) || []) {
        const away = (cells.x[k] - x) ** 2 + (cells.y[k] - y) ** 2;
        if (away < nearest) {
          nearest = away;
          best = k;
        }
      }
    }
  }
  return best;
}

// The cell that is seen at a pixel: along the line of sight, from above, the first one that is as high.
function cellAt(camera, model, buckets, riseOfCell, px, py) {
  const unit = riseOfCell ? riseUnit(camera) : 0, steps = unit ? 48 : 0;
  for (let step = steps; step >= 0; step--) {
    const z = steps ? (step / steps) * RISE_MAX * unit : 0;
    const [x, y] = camera.ground(px, py, z);
    const found = cellNear(model.cells, buckets, x, y);
    if (found >= 0 && (!z || riseOfCell[found] * unit >= z)) return found;
  }
  return -1;
}
