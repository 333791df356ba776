// A line without axes: how a figure has moved.

import { html } from "./html.js";

const WIDTH = 120;
const HEIGHT = 32;

/** `values` may hold nulls: gaps. `color` is the name of a token of style.css. */
export function Sparkline({ values, label }) {
  const { line, area } = pathsOf(values);
  return html`<svg class="sparkline" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${label}>
    <path class="sparkline-area" d=${area} />
    <path class="sparkline-line" d=${line} />
  </svg>`;
}

/** The line through the values, scaled to the box, and the area below it. */
export function pathsOf(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  const top = Math.max(1e-9, ...known);
  const step = values.length > 1 ? WIDTH / (values.length - 1) : 0;
  let line = "";
  let area = "";
  let start = null;
  const finish = (x) => {
    if (start !== null) area += `L${x} ${HEIGHT}L${start} ${HEIGHT}Z`;
    start = null;
  };
  values.forEach((value, index) => {
    const x = round(index * step);
    if (value === null || value === undefined) return finish(round((index - 1) * step));
    const point = `${x} ${round(HEIGHT - 1.5 - (Math.max(0, value) / top) * (HEIGHT - 3))}`;
    line += `${start === null ? "M" : "L"}${point}`;
    area += `${start === null ? "M" : "L"}${point}`;
    start ??= x;
  });
  finish(round((values.length - 1) * step));
  return { line, area };
}

function round(n) {
  return Math.round(n * 100) / 100;
}
