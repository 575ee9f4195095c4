// From hands to view and selection: pointers, wheel, keys, fields.
const CLICK_PX = 4, STEP_PX = 60, TURN = 0.12;

class Controls {
  constructor(model, selection, view) {
    Object.assign(this, { model, selection, view, pointers: new Map() });
    this.fields();
    this.pointerEvents(byId("marks"));
    byId("marks").addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.choose(-1));
    this.speak();
  }

  // --- What is said ---

  speak() {
    document.documentElement.lang = language;
    for (const one of document.querySelectorAll("[data-t]")) one.textContent = label(one.dataset.t);
    for (const one of document.querySelectorAll("[data-label]")) one.setAttribute("aria-label", label(one.dataset.label));
    const other = language === "zh" ? ["English", "en"] : ["中文", "zh"];
    byId("language").textContent = other[0];
    byId("language").lang = other[1];
    const { points, unplaced } = this.model;
    const groups = [...points.group.values].sort();
    const districts = [...new Set(points.district.values)];
    this.options("group", [["", label("every")], ...groups.map((one) => [one, label(one)])], this.selection.filters.group);
    this.options("district", [["", label("every")], ...districts.map((one) => [one, districtName(this.model, one)])],
      this.selection.filters.district);
    this.options("layer", [...LAYERS.map((one) => [one, label(one)]), ["", label("no_layer")]], this.view.layer);
    this.options("height", [["cells", label("height_cells")], ["points", label("height_points")]], this.view.height);
    byId("unplaced").hidden = !(unplaced > 0);
    byId("unplaced").textContent = label("unplaced", number(unplaced));
    showLegend(byId("legend"), this.model, this.view.cells, this.view.layer, this.view.colours);
    this.refresh();
    if (this.view.marks.selected >= 0) this.showDetail();
  }

  options(id, pairs, chosen) {
    byId(id).replaceChildren(...pairs.map(([value, text]) => option(value, text)));
    byId(id).value = chosen;
  }

  // --- Filters ---

  fields() {
    const { filters } = this.selection, on = (id, kind, work) => byId(id).addEventListener(kind, work);
    on("search", "input", () => this.change({ text: byId("search").value.trim().toLowerCase() }));
    on("group", "change", () => this.change({ group: byId("group").value }));
    on("district", "change", () => this.chooseDistrict(byId("district").value));
    on("worse", "change", () => this.change({ worse: byId("worse").checked }));
    on("reset", "click", () => this.reset());
    on("layer", "change", () => this.show({ layer: byId("layer").value }));
    on("height", "change", () => this.show({ height: byId("height").value }));
    on("flat", "click", () => this.tilt(false));
    on("tilted", "click", () => this.tilt(true));
    on("nearer", "click", () => this.view.go({ scale: Math.min(SCALE_MAX, this.view.camera.scale * 1.6) }));
    on("farther", "click", () => this.view.go({ scale: Math.max(SCALE_MIN, this.view.camera.scale / 1.6) }));
    on("home", "click", () => this.view.home());
    on("language", "click", () => {
      language = language === "zh" ? "en" : "zh";
      this.speak();
      this.view.ask();
    });
    byId("levels").replaceChildren(...LEVELS.map((name, level) => {
      const box = element("input", { type: "checkbox", id: `level-${name}`, checked: filters.levels.has(level) });
      box.addEventListener("change", () => {
        box.checked ? this.selection.filters.levels.add(level) : this.selection.filters.levels.delete(level);
        this.change({});
      });
      return element("label", { class: `level ${name}` }, box, dot(level), element("span", {}), element("b", {}));
    }));
  }

  change(changes) {
    Object.assign(this.selection.filters, changes);
    this.selection.apply();
    this.view.filter();
    this.refresh();
  }

  reset() {
    this.selection.filters = NO_FILTERS();
    byId("search").value = byId("group").value = byId("district").value = "";
    byId("worse").checked = false;
    LEVELS.forEach((name) => (byId(`level-${name}`).checked = true));
    this.change({});
    this.view.home();
  }

  chooseDistrict(district) {
    byId("district").value = district;
    this.change({ district });
    const found = this.model.districts.find((one) => one.zh === district);
    if (found && found.rings.length) this.view.goTo(found.bounds);
    else if (!district) this.view.goTo(this.view.bounds);
  }

  refresh() {
    const { selection, model, view } = this;
    byId("count").textContent = label("count", number(selection.count), number(model.points.n));
    LEVELS.forEach((name, level) => {
      const parts = byId("levels").children[level].children;
      parts[2].textContent = label(name);
      parts[3].textContent = number(selection.byLevel[level]);
    });
    showRollup(byId("rollup"), model, selection, (district) => this.chooseDistrict(district));
    this.refreshHighest();
    if (view.marks.selected >= 0 && !selection.shown[view.marks.selected]) this.choose(-1);
  }

  refreshHighest() {
    showHighest(byId("highest"), this.model, this.selection, this.view.marks.selected, (k) => this.choose(k, true));
  }

  show(changes) {
    Object.assign(this.view, changes);
    this.view.rebuild();
  }

  tilt(on) {
    byId("flat").setAttribute("aria-pressed", String(!on));
    byId("tilted").setAttribute("aria-pressed", String(on));
    byId("stage").classList.toggle("tilted", on);
    this.view.tilt(on);
  }

  // --- One point ---

  choose(k, travel = false) {
    const before = this.view.marks.selected;
    this.view.marks.selected = k;
    if (k >= 0) this.showDetail();
    else byId("detail").hidden = true;
    document.body.classList.toggle("with-detail", k >= 0);
    if (k !== before) {
      for (const one of document.querySelectorAll("#highest [aria-current]")) one.removeAttribute("aria-current");
      const at = this.selection.highest(HIGHEST_MAX).indexOf(k);
      if (at >= 0) byId("highest").children[at].firstElementChild.setAttribute("aria-current", "true");
    }
    if (k >= 0 && travel) this.view.goToPoint(k);
    this.view.ask();
  }

  showDetail() {
    showPanel(byId("detail"), this.model, this.view.marks.selected, () => {
      this.choose(-1);
      byId("marks").focus();
    });
    byId("detail").scrollTop = 0;
    const { points } = this.model, k = this.view.marks.selected;
    byId("said").textContent = `${points.name[k]}, ${label("risk")} ${points.risk[k].toFixed(3)}, ${label(LEVELS[points.colour[k]])}`;
  }

  // --- Pointers ---

  pointerEvents(canvas) {
    canvas.addEventListener("pointerdown", (event) => this.down(event, canvas));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", (event) => this.zoomAt(event, 2));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomAt(event, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)));
    }, { passive: false });
  }

  at(event) {
    const box = byId("marks").getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  zoomAt(event, factor) {
    this.view.camera.zoom(factor, ...this.at(event));
    this.view.moved();
  }

  down(event, canvas) {
    const [x, y] = this.at(event);
    canvas.focus({ preventScroll: true });
    if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
    const turning = event.button === 2 || event.ctrlKey || event.shiftKey;
    this.pointers.set(event.pointerId, { x, y, far: 0, turning });
    this.point(null);
  }

  move(event) {
    const [x, y] = this.at(event), held = this.pointers.get(event.pointerId);
    if (!held) return this.point([x, y], event.pointerType);
    const { camera } = this.view;
    const other = [...this.pointers].find(([id]) => id !== event.pointerId);
    held.far += Math.hypot(x - held.x, y - held.y);
    if (other) this.pinch(held, other[1], x, y);
    else if (held.turning && this.view.tilted) {
      camera.bearing += (x - held.x) * 0.006;
      camera.tilt = Math.min(1, Math.max(0.1, camera.tilt - (y - held.y) * 0.005));
    } else if (held.far > CLICK_PX) camera.drag(held.x, held.y, x, y);
    Object.assign(held, { x, y });
    this.view.moved();
  }

  pinch(held, other, x, y) {
    const { camera } = this.view;
    const before = Math.hypot(held.x - other.x, held.y - other.y), after = Math.hypot(x - other.x, y - other.y);
    camera.drag((held.x + other.x) / 2, (held.y + other.y) / 2, (x + other.x) / 2, (y + other.y) / 2);
    if (before > 0) camera.zoom(after / before, (x + other.x) / 2, (y + other.y) / 2);
  }

  up(event) {
    const held = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    if (!held || held.far > CLICK_PX || this.pointers.size) return;
    this.choose(pointAt(this.view.camera, this.view.points, ...this.at(event)));
  }

  // What the pointer is over: a point, or else a cell.
  point(at, kind) {
    const { view, model } = this, tip = byId("tip");
    const k = at && kind !== "touch" ? pointAt(view.camera, view.points, ...at) : -1;
    if (k !== view.marks.hovered) {
      view.marks.hovered = k;
      view.ask();
    }
    byId("marks").classList.toggle("over", k >= 0);
    const rise = view.height === "cells" ? view.cells.riseOfCell : null;
    const cell = at && k < 0 && kind !== "touch" && view.cells.scale
      ? cellAt(view.camera, model, view.buckets, rise, ...at) : -1;
    tip.hidden = k < 0 && cell < 0;
    if (tip.hidden) return;
    tip.replaceChildren(...(k >= 0 ? pointTip(model, k) : cellTip(model, cell)));
    const box = byId("stage").getBoundingClientRect();
    tip.style.left = `${Math.min(at[0] + 14, box.width - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(at[1] + 14, box.height - tip.offsetHeight - 8)}px`;
  }

  // --- Keys ---

  key(event) {
    const { camera } = this.view, move = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const [x, y] = move[event.key] || [0, 0];
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if ((x || y) && event.shiftKey && this.view.tilted) {
      camera.bearing += x * TURN;
      camera.tilt = Math.min(1, Math.max(0.1, camera.tilt + y * TURN));
    } else if (x || y) {
      const [middleX, middleY] = [camera.width / 2, camera.height / 2];
      camera.drag(middleX, middleY, middleX + x * STEP_PX, middleY + y * STEP_PX);
    } else if (event.key === "+" || event.key === "=") camera.zoom(1.4);
    else if (event.key === "-") camera.zoom(1 / 1.4);
    else if (event.key === "0") this.view.home();
    else if (event.key === "3") this.tilt(!this.view.tilted);
    else if (event.key === "n" || event.key === "p") this.beside(event.key === "n" ? 1 : -1);
    else return;
    event.preventDefault();
    this.view.moved();
  }

  beside(step) {
    const k = this.selection.beside(this.view.marks.selected, step);
    if (k >= 0) this.choose(k, true);
  }
}

function pointTip(model, k) {
  const { points } = model;
  return [element("strong", {}, dot(points.colour[k]), points.name[k]),
    element("span", {}, `${label("risk")} ${points.risk[k].toFixed(3)} · ${points.category.values[points.category.of[k]]}`)];
}

function cellTip(model, cell) {
  const { cells } = model, names = ["residents", "present", "firms", "buildings", "dangers_open", "risk_points"];
  const list = element("dl", { class: "rows" });
  for (const name of names) list.append(element("dt", {}, label(name)), element("dd", {}, number(cells[name][cell])));
  list.append(element("dt", {}, label("risk_max")), element("dd", {}, cells.risk_max[cell].toFixed(3)));
  return [element("strong", {}, `${label("cell")} ${cells.id[cell]}`), list];
}
