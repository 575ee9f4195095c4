// Which points the filters let through, and how many they would with one filter aside.
const NO_FILTERS = () => ({ levels: new Set([0, 1, 2, 3]), group: "", district: "", text: "", worse: false });

class Selection {
  constructor(model) {
    this.points = model.points;
    this.filters = NO_FILTERS();
    this.shown = new Uint8Array(this.points.n);
    this.texts = null;
    this.apply();
  }

  apply() {
    const { n } = this.points, { levels, district } = this.filters;
    this.count = 0;
    this.byLevel = [0, 0, 0, 0]; // Without the filter of levels.
    this.byDistrict = new Map(); // Without that of the district.
    for (let k = 0; k < n; k++) {
      const level = this.points.colour[k], where = this.districtOf(k);
      const others = this.passes(k), inLevels = levels.has(level), inDistrict = !district || where === district;
      if (others && inDistrict) this.byLevel[level]++;
      if (others && inLevels) this.tally(where, level, this.points.risk[k]);
      this.shown[k] = others && inLevels && inDistrict ? 1 : 0;
      this.count += this.shown[k];
    }
  }

  passes(k) {
    const { points } = this, { group, worse, text } = this.filters;
    if (group && points.group.values[points.group.of[k]] !== group) return false;
    if (worse && !(points.previous_colour[k] > points.colour[k])) return false;
    return !text || this.textOf(k).includes(text);
  }

  districtOf(k) {
    return this.points.district.values[this.points.district.of[k]];
  }

  tally(district, level, risk) {
    if (!this.byDistrict.has(district)) this.byDistrict.set(district, { levels: [0, 0, 0, 0], all: 0, highest: 0 });
    const row = this.byDistrict.get(district);
    row.levels[level]++;
    row.all++;
    row.highest = Math.max(row.highest, risk);
  }

  textOf(k) {
    const { points } = this;
    this.texts ||= new Array(points.n);
    this.texts[k] ||= [points.name[k], points.risk_point_id[k], points.credit_code[k], points.building_code[k],
      points.category.values[points.category.of[k]], points.street.values[points.street.of[k]]].join(" ").toLowerCase();
    return this.texts[k];
  }

  // Shown points, the highest risk first; they are stored with the highest last.
  highest(most) {
    const found = [];
    for (let k = this.points.n - 1; k >= 0 && found.length < most; k--) if (this.shown[k]) found.push(k);
    return found;
  }

  // The next shown point by risk, downwards or upwards; -1 when none is shown.
  beside(k, step) {
    const { n } = this.points;
    for (let tried = 1; tried <= n; tried++) {
      const at = (((k < 0 ? (step > 0 ? n : -1) : k) - step * tried) % n + n) % n;
      if (this.shown[at]) return at;
    }
    return -1;
  }
}
