// Lines over time, by uPlot. All charts of a page share their cursor; its values stand above each.

import uPlot from "../vendor/uplot.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { NONE, duration, number, timeOfDay } from "../data/format.js";

const HEIGHT = 180;
const SYNC = "osqueue";
/** Where the scale ends that has nothing but zeros on it. */
const IDLE_TOP = 10;
const TOKENS = ["--chart-1", "--chart-2", "--chart-3", "--chart-4", "--chart-5", "--chart-fill", "--grid", "--muted"];
const UNITS = {
  ms: duration,
  "/s": (value) => (value === null || value === undefined ? NONE : `${number(value)}/s`),
  "": number,
};

/**
 * `xs`: ms since the epoch; `series`: [{label, values, color?, unit?}], values with null for a gap, color
 * one of TOKENS; `span`: how long a time it shows, up to the last of xs; `axis: "right"` for what is of another size, with a `unit` of its own. `unit`: "ms", "/s", "" or a function that writes a value.
 */
export function Chart({ title, series, xs, span, unit = "", height = HEIGHT }) {
  const place = useRef();
  const plot = useRef();
  const [at, setAt] = useState(null);
  const latest = useRef();
  latest.current = { series, xs, span, unit, height, onCursor: setAt };
  const labels = series.map((one) => one.label).join("\n");
  useEffect(() => {
    const make = () => {
      plot.current?.destroy();
      plot.current = makePlot(place.current, latest.current);
    };
    make();
    const stop = whenResizedOrRecoloured(place.current, () => plot.current, make);
    return () => {
      stop();
      plot.current.destroy();
      plot.current = undefined;
    };
  }, [labels, span, unit, height]);
  useEffect(() => plot.current?.setData(dataOf(xs, series)), [xs, series]);
  return html`<figure class="chart" aria-label=${title}>
    <figcaption class="chart-head">
      <span class="chart-title">${title}</span>
      <${Legend} series=${series} xs=${xs} at=${at} unit=${unit} />
    </figcaption>
    <div class="chart-place" ref=${place} style=${{ height: `${height}px` }}></div>
  </figure>`;
}

function Legend({ series, xs, at, unit }) {
  const index = at !== null && at < xs.length ? at : xs.length - 1;
  return html`<span class="legend">
    ${at !== null && html`<span class="legend-at">${timeOfDay(xs[index])}</span>`}
    ${series.map((one, place) => html`<span class="legend-item" key=${one.label}>
      <span class="legend-key" style=${{ background: `var(${colorOf(one, place)})` }} aria-hidden="true"></span>${one.label}
      <b>${write(one.unit ?? unit, one.values[index])}</b>
    </span>`)}
  </span>`;
}

function write(unit, value) {
  return (typeof unit === "function" ? unit : UNITS[unit] ?? number)(value);
}

function dataOf(xs, series) {
  return [xs, ...series.map((one) => one.values)];
}

function makePlot(place, { series, xs, span, unit, height, onCursor }) {
  const color = colorsOf(place);
  const options = {
    width: place.clientWidth || 300,
    height,
    ms: 1,
    padding: [8, series.some((one) => one.axis === "right") ? 0 : 18, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: SYNC }, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { x: { time: true, range: endingAtLast(span) }, y: { range: fromZero }, right: { range: fromZero } },
    axes: axesOf(color, unit, series),
    series: [{}, ...series.map((one, index) => seriesOf(one, index, color))],
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)] },
  };
  return new uPlot(options, dataOf(xs, series), place);
}

function colorOf({ color }, index) {
  return color ?? `--chart-${index + 1}`;
}

/** The whole span, though we know only some of it: else the first minutes would race by. */
function endingAtLast(span) {
  return (_, low, high) => (span && high ? [high - span, high] : [low, high]);
}

/** From 0 to a little above the highest: a curve whose ground moves can't be read. */
function fromZero(_, low, high) {
  return [0, high > 0 ? high * 1.1 : IDLE_TOP];
}

function seriesOf(one, index, color) {
  return {
    label: one.label,
    scale: one.axis ?? "y",
    stroke: color(colorOf(one, index)),
    fill: index === 0 ? color("--chart-fill") : undefined,
    width: 1.5,
    points: { show: false },
    spanGaps: false,
  };
}

function axesOf(color, unit, series) {
  const shared = { stroke: color("--muted"), font: `11px ${getComputedStyle(document.body).fontFamily}`, ticks: { show: false } };
  const grid = { stroke: color("--grid"), width: 1 };
  const figures = (of) => (_, marks) => marks.map((mark) => write(of, mark));
  const right = series.find((one) => one.axis === "right");
  return [
    { ...shared, grid: { show: false }, space: 70, size: 26, values: clockTimes },
    { ...shared, grid, size: 52, space: 36, values: figures(unit) },
    ...(right ? [{ ...shared, scale: "right", side: 1, grid: { show: false }, size: 44, space: 36, values: figures(right.unit ?? unit) }] : []),
  ];
}

/** Of each mark, but for one so far left that it would stand under the figures of the other axis. */
function clockTimes({ scales }, marks) {
  const { min, max } = scales.x;
  return marks.map((at) => (at - min < (max - min) / 20 ? "" : timeOfDay(at).slice(0, 5)));
}

/** Tokens are of light or dark, so their colours have to be worked out by an element. */
function colorsOf(place) {
  const probe = place.appendChild(document.createElement("span"));
  const colors = {};
  probe.hidden = true;
  const read = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  for (const name of TOKENS) colors[name] = read(name);
  probe.remove();
  return (name) => colors[name];
}

/** Keep the width, and draw anew in the colours of light or dark. Returns what ends it. */
function whenResizedOrRecoloured(place, plot, recolour) {
  const sizes = new ResizeObserver(() => {
    const width = place.clientWidth;
    if (width && plot()?.width !== width) plot()?.setSize({ width, height: plot().height });
  });
  sizes.observe(place);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", recolour);
  const chosen = new MutationObserver(recolour);
  chosen.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return () => {
    sizes.disconnect();
    scheme.removeEventListener("change", recolour);
    chosen.disconnect();
  };
}
