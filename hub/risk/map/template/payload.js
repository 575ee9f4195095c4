// The data block → columns in the units of the map: kilometres east and north of the origin, shares from 0 to 1.
const LEVELS = ["red", "orange", "yellow", "blue"];
const INDICATORS = { exposure: ["e1", "e2", "e3"], vulnerability: ["v1", "v2", "v3"], sensitivity: ["s1", "s2", "s3"],
  mitigation: ["m1", "m2", "m3", "m4"] };
const DEGREE = 1e5, SHARE = 1e3, RISK = 1e4;
const KM_NORTH = 110.574, KM_EAST = 111.32;

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function modelOf(raw) {
  const east = KM_EAST * Math.cos(((raw.origin[1] + 0.25) * Math.PI) / 180) / DEGREE, north = KM_NORTH / DEGREE;
  const axis = (values, factor) => Float32Array.from(values, (one) => one * factor);
  const { points, cells } = raw;
  const risk = axis(points.risk, 1 / RISK), highest = risk.reduce((one, other) => Math.max(one, other), 0) || 1;
  const corners = [];
  for (let k = 0; k < cells.shape.length; k += 2) corners.push([cells.shape[k] * east, cells.shape[k + 1] * north]);
  return {
    titles: raw.titles,
    unplaced: raw.unplaced,
    districts: raw.districts.map((one) => districtOf(one, east, north)),
    points: { ...points, n: points.risk.length, x: axis(points.lon, east), y: axis(points.lat, north),
      risk, pillar: risk.map((one) => one / highest) },
    cells: { ...cells, n: cells.id.length, x: axis(cells.lon, east), y: axis(cells.lat, north), corners,
      risk_max: axis(cells.risk_max, 1 / RISK) },
  };
}

function districtOf(raw, east, north) {
  const rings = raw.rings.map((ring) => Float32Array.from(ring, (one, k) => one * (k % 2 ? north : east)));
  const largest = rings.reduce((best, one) => (one.length > best.length ? one : best), new Float32Array(0));
  return { zh: raw.zh, en: raw.en, rings, bounds: boundsOf(rings), middle: middleOf(largest) };
}

function boundsOf(rings) {
  const bounds = [Infinity, Infinity, -Infinity, -Infinity];
  for (const ring of rings) {
    for (let k = 0; k < ring.length; k += 2) {
      bounds[0] = Math.min(bounds[0], ring[k]);
      bounds[1] = Math.min(bounds[1], ring[k + 1]);
      bounds[2] = Math.max(bounds[2], ring[k]);
      bounds[3] = Math.max(bounds[3], ring[k + 1]);
    }
  }
  return bounds;
}

// Centre of mass of the area within a ring.
function middleOf(ring) {
  let area = 0, x = 0, y = 0;
  for (let k = 0; k + 3 < ring.length; k += 2) {
    const cross = ring[k] * ring[k + 3] - ring[k + 2] * ring[k + 1];
    area += cross;
    x += (ring[k] + ring[k + 2]) * cross;
    y += (ring[k + 1] + ring[k + 3]) * cross;
  }
  return area ? [x / (3 * area), y / (3 * area)] : null;
}
