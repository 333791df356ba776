// Four charts over the same time. They are drawn anew once a second at most, however often we are told.

import { Card, html, useMemo } from "../../parts/ui.js";
import { Chart } from "../../parts/chart.js";
import { gatherSize, gathered, perSecond, ratio, stepsOf } from "../../data/figures.js";

const MINUTE = 60_000;
const REDRAW_MS = 1_000;

export const SPANS = [
  { value: 5 * MINUTE, label: "5 min" },
  { value: 15 * MINUTE, label: "15 min" },
  { value: 60 * MINUTE, label: "1 hour" },
];

export function Charts({ overview, span }) {
  const { history, now } = overview ?? {};
  const second = Math.floor((now ?? 0) / REDRAW_MS);
  const { xs, charts } = useMemo(() => chartsOf(history, now, span), [second, span, history?.from]);
  return html`<div class="grid grid-2 grid-4">
    ${charts.map((chart) => html`<${Card} key=${chart.title} kind="chart">
      <${Chart} ...${chart} xs=${xs} span=${span} />
    <//>`)}
  </div>`;
}

function chartsOf(history, now, span) {
  const stepMs = history?.stepMs ?? 1;
  const size = gatherSize(span, stepMs);
  const steps = gathered(stepsOf(history, now ?? 0, span), stepMs, size);
  const list = (name) => steps[name] ?? [];
  const rate = (name) => perSecond(list(name), stepMs * size);
  return {
    xs: steps.xs,
    charts: [
      {
        title: "Throughput",
        unit: "/s",
        series: [
          { label: "submitted", color: "--chart-1", values: rate("submitted") },
          { label: "completed", color: "--chart-2", values: rate("completed") },
          { label: "failed", color: "--chart-3", values: rate("failed") },
        ],
      },
      { title: "Time in queue", unit: "ms", series: halfAndMost(list("waitP50"), list("waitP99")) },
      {
        title: "Commits",
        unit: "/s",
        series: [
          { label: "commits", color: "--chart-1", values: rate("commits") },
          { label: "jobs per commit", color: "--chart-4", unit: "", axis: "right", values: ratio(list("changes"), list("commits")) },
        ],
      },
      { title: "Store latency", unit: "ms", series: halfAndMost(list("putP50"), list("putP99")) },
    ],
  };
}

function halfAndMost(p50, p99) {
  return [
    { label: "p50", color: "--chart-1", values: p50 },
    { label: "p99", color: "--chart-5", values: p99 },
  ];
}
