// `#selftest`: uses the page by its own events and writes what came of it into the body's `data-selftest`, as JSON.
function selftest(model, selection, view) {
  const result = { renderer: view.renderer.name, points: model.points.n, cells: model.cells.n };
  view.still = true;
  const shot = () => view.draw();
  const send = (target, kind, event) => target.dispatchEvent(event || new Event(kind, { bubbles: true }));
  const pointer = (kind, x, y) => {
    const box = byId("marks").getBoundingClientRect();
    send(byId("marks"), kind, new PointerEvent(kind, { bubbles: true, pointerId: 1, pointerType: "mouse", button: 0,
      clientX: box.left + x, clientY: box.top + y }));
  };
  const press = (key, more = {}) =>
    send(byId("marks"), "keydown", new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
  const set = (id, value, kind = "change") => {
    byId(id).value = value;
    send(byId(id), kind);
  };
  const count = () => selection.count;
  const pixels = () => pixelsOf(view.canvases[1], view.colours);

  shot();
  result.pixels = pixels();
  result.markup = document.querySelectorAll("img, iframe, object, embed, link").length;
  result.rows = byId("rollup").tBodies[0].rows.length;

  // A click on the gravest point opens its details.
  const k = model.points.n - 1;
  view.goToPoint(k);
  shot();
  const [x, y] = view.camera.project(model.points.x[k], model.points.y[k], 0);
  pointer("pointermove", x, y);
  result.tip = byId("tip").textContent;
  pointer("pointerdown", x, y);
  pointer("pointerup", x, y);
  result.detail = { chosen: view.marks.selected === k, name: byId("detail").querySelector("h2").textContent,
    bars: byId("detail").querySelectorAll(".indicators .one").length, text: byId("detail").innerText };
  press("p");
  press("n");
  result.steps = view.marks.selected === k;
  send(document, "keydown", new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
  result.closed = byId("detail").hidden;
  press("0");
  shot();

  // Filters.
  result.levels = LEVELS.map((name) => {
    LEVELS.forEach((one) => byId(`level-${one}`).checked === (one === name) || byId(`level-${one}`).click());
    shot();
    return [count(), pixels().levels];
  });
  byId("reset").click();
  set("group", model.points.group.values[0]);
  result.group = count();
  byId("reset").click();
  byId("rollup").tBodies[0].rows[1].click();
  result.district = [byId("district").value, count()];
  byId("reset").click();
  set("search", model.points.risk_point_id[0].toUpperCase(), "input");
  result.search = count();
  byId("reset").click();
  byId("worse").click();
  result.worse = count();
  byId("reset").click();
  result.all = count();

  // Layers, language, moves, and the third dimension.
  result.layers = {};
  for (const layer of [...LAYERS, ""]) {
    set("layer", layer);
    shot();
    result.layers[layer] = pixels().cells;
  }
  set("layer", "residents");
  const title = document.querySelector("h1").textContent;
  byId("language").click();
  result.titles = [title, document.querySelector("h1").textContent];
  byId("language").click();
  const before = view.camera.ground(100, 100);
  pointer("pointerdown", 100, 100);
  pointer("pointermove", 160, 130);
  pointer("pointermove", 180, 140);
  pointer("pointerup", 180, 140);
  shot();
  const after = view.camera.ground(180, 140);
  result.dragged = Math.hypot(after[0] - before[0], after[1] - before[1]);
  const scale = view.camera.scale;
  press("+");
  result.nearer = view.camera.scale / scale;
  press("0");
  byId("tilted").click();
  shot();
  result.tilted = pixels();
  const middle = [view.camera.width / 3, view.camera.height / 2];
  const [gx, gy] = view.camera.ground(...middle, 0.7), [px, py] = view.camera.project(gx, gy, 0.7);
  result.inverse = Math.hypot(px - middle[0], py - middle[1]);
  set("height", "points");
  shot();
  result.pillars = pixels();
  result.frame_ms = frameOf(view);
  byId("flat").click();
  set("height", "cells");
  shot();
  document.body.dataset.selftest = JSON.stringify(result);
}

// How many pixels have the colour of each level, and how many one of the layer's.
function pixelsOf(canvas, colours) {
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const pen = copy.getContext("2d");
  pen.drawImage(canvas, 0, 0);
  const { data } = pen.getImageData(0, 0, copy.width, copy.height);
  const near = (at, rgb, far) => Math.abs(data[at] - rgb[0]) + Math.abs(data[at + 1] - rgb[1]) + Math.abs(data[at + 2] - rgb[2]) < far;
  const levels = [0, 0, 0, 0];
  let cells = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] < 250) continue;
    const level = colours.levels.findIndex((rgb) => near(at, rgb, 24));
    if (level >= 0) levels[level]++;
    else if (colours.ramp.some((rgb) => near(at, rgb, 12))) cells++;
  }
  return { levels, cells };
}

// Milliseconds of a frame, the mean of a few, with the pixels read so that all of it is counted.
function frameOf(view) {
  const begun = performance.now(), frames = 5;
  for (let k = 0; k < frames; k++) {
    view.camera.bearing += 0.01;
    view.draw();
    const gl = view.renderer.gl;
    if (gl) gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  }
  return (performance.now() - begun) / frames;
}
