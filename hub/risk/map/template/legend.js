// The legend: risk levels with the range that this run found in each, and the scale of the layer.
function showLegend(box, model, cells, layer, colours) {
  const ranges = rangesOf(model.points);
  const levels = element("ul", {}, ...LEVELS.map((name, level) => element("li", {}, dot(level), label(name),
    element("small", {}, ranges[level] ? ranges[level].map((one) => one.toFixed(2)).join(" – ") : "—"))));
  const parts = [element("div", {}, element("h3", {}, label("risk")), levels)];
  if (cells.scale) parts.push(element("div", {}, element("h3", {}, label(layer)), ramp(colours), ticks(cells.scale, layer)));
  box.replaceChildren(...parts);
}

function rangesOf(points) {
  const ranges = [null, null, null, null];
  for (let k = 0; k < points.n; k++) {
    const level = points.colour[k], risk = points.risk[k];
    if (!ranges[level]) ranges[level] = [risk, risk];
    ranges[level][0] = Math.min(ranges[level][0], risk);
    ranges[level][1] = Math.max(ranges[level][1], risk);
  }
  return ranges;
}

function ramp(colours) {
  const made = element("div", { class: "ramp", "aria-hidden": "true" });
  made.style.background = `linear-gradient(to right, ${colours.ramp.map((rgb) => css(rgb)).join(", ")})`;
  return made;
}

function ticks(scale, layer) {
  const shown = (value) => (layer === "risk_max" ? value.toFixed(2) : number(Math.round(value)));
  return element("div", { class: "ticks" }, ...[0, 0.5, 1].map((one) =>
    element("span", {}, `${one === 1 ? "≥ " : ""}${shown(scale.value(one))}`)));
}

// A bar as long as a round number of metres.
function showScale(box, camera) {
  const wanted = 110 / camera.scale;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const length = [5, 2, 1].map((one) => one * power).find((one) => one <= wanted);
  box.firstElementChild.textContent = length >= 1 ? `${length} km` : `${Math.round(length * 1000)} m`;
  box.lastElementChild.style.width = `${length * camera.scale}px`;
}
