// Colours come from the style sheet, so that light and dark are told in one place.
const RAMP_STEPS = 24;

function coloursOf(element) {
  const style = getComputedStyle(element);
  const rgb = (name) => {
    const hex = style.getPropertyValue(`--${name}`).trim();
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  };
  const stops = [0, 1, 2, 3, 4].map((one) => rgb(`ramp-${one}`));
  const ramp = Array.from({ length: RAMP_STEPS }, (_, step) => between(stops, step / (RAMP_STEPS - 1)));
  return { ramp, levels: LEVELS.map(rgb), rim: rgb("rim"), land: rgb("land"), line: rgb("line"), ink: rgb("ink"),
    halo: rgb("halo"), mark: rgb("mark") };
}

function between(stops, share) {
  const at = Math.min(stops.length - 2, Math.floor(share * (stops.length - 1)));
  const rest = share * (stops.length - 1) - at;
  return stops[at].map((one, k) => Math.round(one + (stops[at + 1][k] - one) * rest));
}

const css = (rgb, alpha = 1) => `rgba(${rgb[0]}, ${rgb[1]}, ${rgb[2]}, ${alpha})`;
