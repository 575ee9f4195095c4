// Below the scene: land. Above it: borders, names, what is chosen and what is pointed at.
function sized(canvas, camera) {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const width = Math.round(camera.width * ratio), height = Math.round(camera.height * ratio);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
}

function penOf(canvas, camera) {
  const pen = canvas.getContext("2d"), ratio = canvas.width / camera.width;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, camera.width, camera.height);
  return pen;
}

function outline(district, camera) {
  const path = new Path2D();
  for (const ring of district.rings) {
    for (let k = 0; k < ring.length; k += 2) {
      const at = camera.project(ring[k], ring[k + 1], 0);
      if (k) path.lineTo(at[0], at[1]);
      else path.moveTo(at[0], at[1]);
    }
    path.closePath();
  }
  return path;
}

function drawGround(canvas, camera, model, colours) {
  const pen = penOf(canvas, camera);
  for (const district of model.districts) {
    const path = outline(district, camera);
    pen.fillStyle = css(colours.land);
    pen.fill(path, "evenodd");
    pen.strokeStyle = css(colours.line, 0.9);
    pen.stroke(path);
  }
}

function drawMarks(canvas, camera, model, colours, marks) {
  const pen = penOf(canvas, camera);
  pen.lineJoin = "round";
  if (camera.tilt < 0.5) {
    pen.lineWidth = 1;
    pen.strokeStyle = css(colours.ink, 0.3);
    for (const district of model.districts) pen.stroke(outline(district, camera));
  }
  const chosen = model.districts.find((one) => one.zh === marks.district);
  if (chosen) {
    pen.lineWidth = 2.2;
    pen.strokeStyle = css(colours.ink, 0.85);
    pen.stroke(outline(chosen, camera));
  }
  drawNames(pen, camera, model, colours);
  if (marks.selected >= 0) drawChosen(pen, camera, model, colours, marks);
  if (marks.hovered >= 0) drawRing(pen, camera, model, colours, marks, marks.hovered, 1.5);
}

function drawNames(pen, camera, model, colours) {
  pen.font = `600 13px ${getComputedStyle(document.body).fontFamily}`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineWidth = 3.5;
  for (const district of model.districts) {
    if (!district.middle) continue;
    const at = camera.project(district.middle[0], district.middle[1], 0);
    const name = language === "zh" ? district.zh : district.en;
    pen.strokeStyle = css(colours.halo, 0.9);
    pen.strokeText(name, at[0], at[1]);
    pen.fillStyle = css(colours.ink, 0.92);
    pen.fillText(name, at[0], at[1]);
  }
}

// The reach of the chosen point, on the ground, and a ring around it.
function drawChosen(pen, camera, model, colours, marks) {
  const { points } = model, k = marks.selected, reach = points.reach[k] / 1000;
  pen.beginPath();
  for (let step = 0; step < 64; step++) {
    const angle = (step * Math.PI) / 32;
    const at = camera.project(points.x[k] + reach * Math.cos(angle), points.y[k] + reach * Math.sin(angle), 0);
    if (step) pen.lineTo(at[0], at[1]);
    else pen.moveTo(at[0], at[1]);
  }
  pen.closePath();
  pen.fillStyle = css(colours.mark, 0.1);
  pen.fill();
  pen.lineWidth = 1.2;
  pen.setLineDash([5, 4]);
  pen.strokeStyle = css(colours.mark, 0.8);
  pen.stroke();
  pen.setLineDash([]);
  drawRing(pen, camera, model, colours, marks, k, 2.5);
}

function drawRing(pen, camera, model, colours, marks, k, width) {
  const at = camera.project(model.points.x[k], model.points.y[k], marks.riseOf(k) * riseUnit(camera));
  const radius = pointRadius(camera, model.points.colour[k]) + 3.5;
  for (const [rgb, wide] of [[colours.halo, width + 2.5], [colours.mark, width]]) {
    pen.beginPath();
    pen.arc(at[0], at[1], radius, 0, 7);
    pen.lineWidth = wide;
    pen.strokeStyle = css(rgb);
    pen.stroke();
  }
  pen.beginPath(); // In 3D, something may stand before it.
  pen.arc(at[0], at[1], radius - 3.5, 0, 7);
  pen.fillStyle = css(colours.levels[model.points.colour[k]]);
  pen.fill();
}
