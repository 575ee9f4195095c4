// `place` is what Camera.project does, in clip space. Prisms have the mesh of their kind; discs always face the eye.
const PLACE = `#version 300 es
precision highp float;
uniform vec4 camera; // x, y, scale, eye
uniform vec4 turned; // cosine and sine of bearing, of pitch
uniform vec2 window;
vec4 place(vec3 at) {
  vec3 p = vec3(at.xy - camera.xy, at.z) * camera.z;
  float across = p.x * turned.x - p.y * turned.y, along = p.x * turned.y + p.y * turned.x;
  float depth = camera.w + along * turned.w - p.z * turned.z;
  float up = along * turned.z + p.z * turned.w;
  float near = camera.w * 0.1, far = camera.w * 6.0;
  float ahead = (depth * (far + near) - 2.0 * far * near) / (far - near);
  return vec4(vec2(across, up) * 2.0 * camera.w / window, ahead, depth);
}`;

const PRISM_VERTEX = `${PLACE}
in vec3 corner; // number of the corner, 1 at the top, number of the face
in vec2 middle;
in float rise;
in vec3 colour;
uniform vec2 corners[7];
uniform float shades[7];
uniform float grow, unit;
out vec3 shown;
void main() {
  shown = colour * shades[int(corner.z)];
  gl_Position = place(vec3(middle + corners[int(corner.x)] * grow, corner.y * rise * unit));
}`;

const PRISM_FRAGMENT = `#version 300 es
precision mediump float;
in vec3 shown;
uniform float opacity;
out vec4 result;
void main() { result = vec4(shown * opacity, opacity); }`;

const DISC_VERTEX = `${PLACE}
in vec2 corner;
in vec2 middle;
in float rise;
in float level;
uniform vec3 colours[4];
uniform float radii[4];
uniform float unit;
out vec2 at;
out vec3 shown;
out float radius;
void main() {
  int k = int(level);
  radius = radii[k] + 1.5;
  shown = colours[k];
  at = corner * radius;
  gl_Position = place(vec3(middle, rise * unit));
  gl_Position.xy += at * 2.0 / window * gl_Position.w;
  gl_Position.z -= 0.004 * gl_Position.w; // In front of the roof that it stands on.
}`;

const DISC_FRAGMENT = `#version 300 es
precision mediump float;
in vec2 at;
in vec3 shown;
in float radius;
uniform vec3 rim;
out vec4 result;
void main() {
  float away = length(at), inside = radius - 1.5;
  float alpha = 1.0 - smoothstep(inside + 0.5, inside + 1.5, away);
  if (alpha < 0.02) discard;
  result = vec4(mix(shown, rim, 0.85 * smoothstep(inside - 0.7, inside + 0.2, away)) * alpha, alpha);
}`;
