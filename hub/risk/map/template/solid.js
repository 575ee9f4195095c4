// Draws a scene with WebGL 2: one call for all cells, one for all pillars, one for all points.
const SHADES = [0.86, 0.82, 0.75, 0.71, 0.74, 0.81, 1]; // Faces from the east on, then the roof.
const ROOF_VERTICES = 18;
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

class SolidRenderer {
  // WebGL that is worked out by the processor is slower than the plain canvas: it is taken only when `anyway`.
  constructor(canvas, model, anyway) {
    const gl = canvas.getContext("webgl2", { alpha: true, antialias: true, preserveDrawingBuffer: true,
      failIfMajorPerformanceCaveat: !anyway });
    if (!gl || (!anyway && SOFTWARE.test(machineOf(gl)))) throw new Error("WebGL 2 is not there");
    this.gl = gl;
    this.name = "solid";
    this.hexagon = new Float32Array([...model.cells.corners.flat(), ...(model.cells.corners.length ? [0, 0] : [])]);
    this.pillar = new Float32Array([...hexagonOf(1).flat(), 0, 0]);
    this.prisms = program(gl, PRISM_VERTEX, PRISM_FRAGMENT);
    this.discs = program(gl, DISC_VERTEX, DISC_FRAGMENT);
    this.prism = buffer(gl, prismMesh());
    this.quad = buffer(gl, new Float32Array([-1, -1, 1, -1, -1, 1, 1, -1, 1, 1, -1, 1]));
    this.cells = arrays(gl, this.prisms, [["corner", 3, this.prism], ["middle", 2], ["rise", 1], ["colour", 3]]);
    this.pillars = arrays(gl, this.prisms, [["corner", 3, this.prism], ["middle", 2], ["rise", 1], ["colour", 3]]);
    this.points = arrays(gl, this.discs, [["corner", 2, this.quad], ["middle", 2], ["rise", 1], ["level", 1]]);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  setCells(cells, colours) {
    const ramp = colours.ramp.map((rgb) => rgb.map((one) => one / 255));
    fill(this.gl, this.cells, cells.n, { middle: pairs(cells), rise: cells.rise, colour: triples(cells.step, ramp) });
  }

  setPoints(points, colours) {
    this.colours = colours;
    const levels = colours.levels.map((rgb) => rgb.map((one) => one / 255));
    const middle = pairs(points), { rise, level } = points;
    fill(this.gl, this.points, points.n, { middle, rise, level: Float32Array.from(level) });
    fill(this.gl, this.pillars, points.pillars ? points.n : 0, { middle, rise, colour: triples(level, levels) });
    this.standing = points.pillars;
  }

  draw(camera) {
    const { gl } = this, tilted = camera.tilt > 0.001, unit = riseUnit(camera), ratio = gl.canvas.width / camera.width;
    gl.viewport(0, 0, gl.canvas.width, gl.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    this.look(this.prisms, camera);
    (tilted ? gl.enable : gl.disable).call(gl, gl.DEPTH_TEST);
    const gap = camera.scale * ratio > 60 ? 0.95 : 1.01; // Gaps between cells show only where they are wider than a pixel.
    this.drawPrisms(this.cells, this.hexagon, gap, this.standing ? 0 : unit, tilted && !this.standing, 1);
    if (tilted) this.drawPrisms(this.pillars, this.pillar, 1.7 / camera.scale, unit, true, 0.92);
    this.look(this.discs, camera);
    const { uniforms } = this.discs;
    gl.uniform1f(uniforms.unit, unit);
    gl.uniform3fv(uniforms.colours, this.colours.levels.flat().map((one) => one / 255));
    gl.uniform3fv(uniforms.rim, this.colours.rim.map((one) => one / 255));
    gl.uniform1fv(uniforms.radii, LEVELS.map((_, level) => pointRadius(camera, level)));
    gl.bindVertexArray(this.points.array);
    if (this.points.n) gl.drawArraysInstanced(gl.TRIANGLES, 0, 6, this.points.n);
  }

  look(drawn, camera) {
    const { gl } = this, { uniforms } = drawn;
    gl.useProgram(drawn.program);
    gl.uniform4f(uniforms.camera, camera.x, camera.y, camera.scale, camera.eye);
    gl.uniform4f(uniforms.turned, camera.cb, camera.sb, camera.cp, camera.sp);
    gl.uniform2f(uniforms.window, camera.width, camera.height);
  }

  drawPrisms(kind, corners, grow, unit, walls, opacity) {
    if (!kind.n || !corners.length) return;
    const { gl } = this, { uniforms } = this.prisms;
    gl.uniform2fv(uniforms.corners, corners);
    gl.uniform1fv(uniforms.shades, SHADES);
    gl.uniform1f(uniforms.grow, grow);
    gl.uniform1f(uniforms.unit, unit);
    gl.uniform1f(uniforms.opacity, opacity);
    gl.bindVertexArray(kind.array);
    gl.drawArraysInstanced(gl.TRIANGLES, 0, walls ? ROOF_VERTICES + 36 : ROOF_VERTICES, kind.n);
  }
}

function machineOf(gl) {
  const more = gl.getExtension("WEBGL_debug_renderer_info");
  return String(gl.getParameter(more ? more.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
}

// The roof first, so that the flat map draws nothing else. Corner 6 is the middle.
function prismMesh() {
  const mesh = [];
  for (let k = 0; k < 6; k++) mesh.push(6, 1, 6, k, 1, 6, (k + 1) % 6, 1, 6);
  for (let k = 0; k < 6; k++) {
    const next = (k + 1) % 6;
    mesh.push(k, 0, k, next, 0, k, next, 1, k, k, 0, k, next, 1, k, k, 1, k);
  }
  return new Float32Array(mesh);
}

const hexagonOf = (radius) =>
  [0, 1, 2, 3, 4, 5].map((k) => [radius * Math.cos((k * Math.PI) / 3), radius * Math.sin((k * Math.PI) / 3)]);

function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  const uniforms = {};
  for (let k = gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS) - 1; k >= 0; k--) {
    const name = gl.getActiveUniform(made, k).name.replace("[0]", "");
    uniforms[name] = gl.getUniformLocation(made, name);
  }
  return { program: made, uniforms };
}

function buffer(gl, values) {
  const made = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, made);
  gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  return made;
}

// Attributes with a buffer are those of the mesh; the others have one value an instance.
function arrays(gl, drawn, attributes) {
  const array = gl.createVertexArray(), buffers = {};
  gl.bindVertexArray(array);
  for (const [name, size, mesh] of attributes) {
    const at = gl.getAttribLocation(drawn.program, name);
    buffers[name] = mesh || gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, gl.FLOAT, false, 0, 0);
    if (!mesh) gl.vertexAttribDivisor(at, 1);
  }
  return { array, buffers, n: 0 };
}

function fill(gl, kind, n, columns) {
  kind.n = n;
  if (!n) return;
  for (const [name, values] of Object.entries(columns)) {
    gl.bindBuffer(gl.ARRAY_BUFFER, kind.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
  }
}

function pairs({ n, x, y }) {
  const result = new Float32Array(2 * n);
  for (let k = 0; k < n; k++) {
    result[2 * k] = x[k];
    result[2 * k + 1] = y[k];
  }
  return result;
}

function triples(which, colours) {
  const result = new Float32Array(3 * (which ? which.length : 0));
  for (let k = 0; 3 * k < result.length; k++) result.set(colours[which[k]], 3 * k);
  return result;
}
