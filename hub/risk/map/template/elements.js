// Elements from texts and other elements. Nothing here takes markup.
const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((one) => one !== null));
  return made;
}

const dot = (level) => element("i", { class: `dot ${LEVELS[level]}`, "aria-hidden": "true" });
const number = (value) => value.toLocaleString("en");
const share = (value) => (value / SHARE).toFixed(2);

function option(value, text) {
  const made = element("option", { value }, text);
  return made;
}

function bar(value, kind) {
  const filled = element("i", { class: kind });
  filled.style.width = `${(100 * value) / SHARE}%`;
  return element("span", { class: "bar", "aria-hidden": "true" }, filled);
}
