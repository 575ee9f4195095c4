// Begins: the data block first, then all that shows it. The address may ask for more: #lang=en&3d&point=NUMBER&draw=flat.
async function begin() {
  language = (navigator.language || "zh").startsWith("zh") ? "zh" : "en";
  const asked = new URLSearchParams(location.hash.slice(1));
  if (asked.has("lang")) language = asked.get("lang") === "en" ? "en" : "zh";
  if (!("DecompressionStream" in window)) throw new Error(label("old_browser"));
  const block = byId("data");
  const model = modelOf(await unpacked(block.textContent));
  block.remove(); // The text is not needed any more; it may have megabytes.
  const selection = new Selection(model);
  const view = new View(model, selection, asked.get("draw"));
  const controls = new Controls(model, selection, view);
  document.body.dataset.renderer = view.renderer.name;
  if (asked.has("3d")) controls.tilt(true);
  if (asked.has("point")) controls.choose(model.points.risk_point_id.indexOf(asked.get("point")), true);
  if (asked.has("selftest")) selftest(model, selection, view);
}

begin().catch((error) => {
  byId("trouble").hidden = false;
  byId("trouble").textContent = error.message;
  document.body.dataset.trouble = `${error.message} ${error.stack}`;
});
