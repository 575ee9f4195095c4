// The roll-up by district, and the points of the highest risk.
const HIGHEST_MAX = 60;

function showRollup(table, model, selection, onDistrict) {
  const [head, body] = [table.tHead, table.tBodies[0]];
  head.replaceChildren(element("tr", {},
    element("th", { scope: "col" }, label("district")),
    ...LEVELS.map((name, level) => element("th", { scope: "col", title: label(name), "aria-label": label(name) }, dot(level))),
    element("th", { scope: "col" }, label("all_points")),
    element("th", { scope: "col" }, label("highest_risk"))));
  const rows = [...selection.byDistrict].sort(([, one], [, other]) =>
    other.levels[0] - one.levels[0] || other.levels[1] - one.levels[1] || other.all - one.all);
  const total = { levels: [0, 0, 0, 0], all: 0, highest: 0 };
  for (const [, row] of rows) {
    row.levels.forEach((count, level) => (total.levels[level] += count));
    total.all += row.all;
    total.highest = Math.max(total.highest, row.highest);
  }
  const line = (district, name, row) => {
    const chosen = selection.filters.district === district;
    const button = element("button", { type: "button", "aria-pressed": String(chosen) }, name);
    const made = element("tr", { class: chosen ? "chosen" : null, "data-district": district },
      element("th", { scope: "row" }, button),
      ...row.levels.map((count) => element("td", { class: count ? null : "zero" }, number(count))),
      element("td", {}, number(row.all)),
      element("td", {}, row.highest.toFixed(2)));
    made.addEventListener("click", () => onDistrict(chosen ? "" : district));
    return made;
  };
  keepFocus(body, () => body.replaceChildren(line("", label("city"), total),
    ...rows.map(([district, row]) => line(district, districtName(model, district), row))));
}

// A row that was pressed is made anew: whoever uses the keyboard stays on it.
function keepFocus(body, work) {
  const row = body.contains(document.activeElement) ? document.activeElement.closest("tr") : null;
  const district = row ? row.dataset.district : null;
  work();
  const again = district === null ? null : [...body.rows].find((one) => one.dataset.district === district);
  if (again) again.querySelector("button").focus();
}

function districtName(model, district) {
  const found = model.districts.find((one) => one.zh === district);
  return found && language === "en" ? found.en : district;
}

function showHighest(list, model, selection, selected, onPoint) {
  const { points } = model;
  const items = selection.highest(HIGHEST_MAX).map((k) => {
    const button = element("button", { type: "button", "aria-current": k === selected ? "true" : null },
      dot(points.colour[k]),
      element("span", {}, points.name[k], element("small", {},
        `${label(points.group.values[points.group.of[k]])} · ${points.street.values[points.street.of[k]]}`)),
      element("b", {}, points.risk[k].toFixed(3)));
    button.addEventListener("click", () => onPoint(k));
    return element("li", {}, button);
  });
  list.replaceChildren(...(items.length ? items : [element("li", { class: "none" }, label("none"))]));
}
