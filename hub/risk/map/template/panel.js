// The details of one point.
function showPanel(panel, model, k, onClose) {
  const { points } = model;
  const level = points.colour[k], before = points.previous_colour[k];
  const close = element("button", { type: "button", class: "close", "aria-label": label("close") }, "×");
  close.addEventListener("click", onClose);
  const few = (name) => points[name].values[points[name].of[k]] || "";
  panel.replaceChildren(
    close,
    element("p", { class: "over" }, `${label(few("group"))} · ${districtName(model, few("district"))}`),
    element("h2", {}, points.name[k]),
    element("div", { class: "score" },
      element("strong", {}, points.risk[k].toFixed(3)),
      element("span", {}, dot(level), label(LEVELS[level])),
      element("small", { class: before > level ? "graver" : null }, formerly(level, before))),
    facts([
      ["category", few("category")], ["place", `${districtName(model, few("district"))} ${few("street")}`],
      ["reach", `${number(points.reach[k])} m`], ["id", points.risk_point_id[k]],
      ["credit_code", points.credit_code[k]], ["building_code", points.building_code[k]],
    ]),
    element("h3", {}, label("reasons")),
    reasons(points.reasons[k]),
    element("h3", {}, label("indicators")),
    indicators(model, k),
    element("p", { class: "formula" }, ...formula(points, k)),
    element("details", { open: true }, element("summary", {}, label("inputs")), inputs(points.inputs[k])),
  );
  panel.hidden = false;
}

function formerly(level, before) {
  if (before < 0) return label("first_time");
  const sign = before > level ? "▲" : before < level ? "▼" : "＝";
  return `${sign} ${label("before")} ${label(LEVELS[before])}`;
}

function facts(rows) {
  const list = element("dl", { class: "rows" });
  for (const [name, value] of rows) {
    if (value) list.append(element("dt", {}, label(name)), element("dd", {}, value));
  }
  return list;
}

function reasons(text) {
  const list = element("ul", { class: "reasons" });
  for (const one of text.split(/[\n；]|;\s/)) if (one.trim()) list.append(element("li", {}, one.trim()));
  return list;
}

// Hazard, then each group with its indicators. Mitigation is drawn otherwise: there, much is good.
function indicators(model, k) {
  const { points, titles } = model;
  const table = element("div", { class: "indicators" });
  const row = (kind, text, value, good) => element("div", { class: kind },
    element("span", {}, text), bar(value, good ? "good" : "plain"), element("b", {}, share(value)));
  table.append(row("sum", label("hazard"), points.hazard[k], false));
  for (const [group, names] of Object.entries(INDICATORS)) {
    const good = group === "mitigation";
    table.append(row("sum", label(group), points[group][k], good));
    for (const name of names) table.append(row("one", indicatorTitle(titles, name), points[name][k], good));
  }
  return table;
}

function indicatorTitle(titles, name) {
  const text = (titles[name] || {})[language] || name;
  const number = name.toUpperCase();
  return text.startsWith(number) ? text : `${number} ${text}`;
}

// The formula with the numbers of this point, if it gives this point's risk.
function formula(points, k) {
  const [h, e, v, s, m] = [points.hazard, points.exposure, points.vulnerability, points.sensitivity, points.mitigation]
    .map((column) => column[k] / SHARE);
  const risk = Math.cbrt(h * Math.cbrt(e * v * s) * (1 - m));
  if (Math.abs(risk - points.risk[k]) > 0.005) return [];
  const [H, E, V, S, M] = [h, e, v, s, m].map((one) => one.toFixed(2));
  return [label("formula"), element("br"), `(${H} · (${E}·${V}·${S})^⅓ · (1 − ${M}))^⅓ = ${risk.toFixed(3)}`];
}

function inputs(text) {
  try {
    return nested(JSON.parse(text));
  } catch {
    return element("pre", {}, text); // Shown as it is: better than not at all.
  }
}

function nested(value) {
  if (value === null || typeof value !== "object") return document.createTextNode(plain(value));
  const entries = Object.entries(value);
  if (entries.every(([, one]) => one === null || typeof one !== "object") && Array.isArray(value)) {
    return document.createTextNode(value.map(plain).join(", "));
  }
  const list = element("dl", { class: "rows" });
  for (const [name, one] of entries) list.append(element("dt", {}, name), element("dd", {}, nested(one)));
  return list;
}

function plain(value) {
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? number(value) : String(Math.round(value * 1e4) / 1e4);
}
