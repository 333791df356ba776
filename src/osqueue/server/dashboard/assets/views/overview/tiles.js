// The headline figures, each with how it has moved.

import { Bar, Sparkline, Stat, html } from "../../parts/ui.js";
import { NONE, compact, duration, elapsed, number, plural } from "../../data/format.js";
import { filled, gatherSize, gathered, newest, rateNow, slotsOf, stepsOf } from "../../data/figures.js";

export function Tiles({ overview, span }) {
  const { counts, history, now } = overview ?? {};
  const stepMs = history?.stepMs ?? 1;
  const steps = stepsOf(history, now, span);
  const size = gatherSize(span, stepMs);
  const drawn = gathered(steps, stepMs, size);
  const lines = (name) => filled(drawn[name] ?? [], Math.floor(span / stepMs / size));
  return html`<div class="stats">
    <${Stat} label="In the queue" value=${compact(counts?.total)} note=${waitingNote(counts, now)}
      chart=${html`<${Sparkline} values=${lines("depth")} label="Waiting jobs over time" />`} />
    <${Running} overview=${overview} />
    <${Stat} label="Completed" value=${rate(history, "completed", now)} note=${`${number(counts?.completedTotal)} in total`}
      chart=${html`<${Sparkline} values=${lines("completed")} label="Completed jobs over time" />`} />
    <${Stat} label="Time in queue" value=${duration(newest(steps.waitP50))} note=${`median · p99 ${duration(newest(steps.waitP99))}`}
      chart=${html`<${Sparkline} values=${lines("waitP50")} label="Time in queue over time" />`} />
    <${Stat} label="Dead letters" kind=${counts?.dead ? "bad" : undefined} value=${compact(counts?.dead)} note=${`${rateText(history, "failed", now)} attempts failed`}
      chart=${html`<${Sparkline} values=${lines("failed")} label="Failed attempts over time" />`} />
  </div>`;
}

function Running({ overview }) {
  const { held, slots, workers } = slotsOf(overview?.workers ?? {});
  const busy = slots ? `${number(held)} of ${plural(slots, "slot")}` : "";
  const note = overview ? [slots && plural(slots, "slot"), plural(workers, "worker")].filter(Boolean).join(" · ") : NONE;
  const chart = slots ? html`<div class="stat-bar"><${Bar} parts=${[{ kind: "used", value: held }]} of=${slots} label=${busy} /></div>` : undefined;
  return html`<${Stat} label="In progress" value=${compact(overview?.counts?.inProgress)} note=${note} chart=${chart} />`;
}

function waitingNote(counts, now) {
  if (!counts) return NONE;
  const parts = [`${compact(counts.ready)} ready`];
  if (counts.oldestReadyAt) parts.push(`oldest ${elapsed(counts.oldestReadyAt, now)}`);
  else if (counts.delayed) parts.push(`${compact(counts.delayed)} delayed`);
  else if (counts.waiting) parts.push(`${compact(counts.waiting)} waiting for others`);
  return parts.join(" · ");
}

function rate(history, name, now) {
  const value = rateNow(history, name, now);
  return value === null ? NONE : html`${number(rounded(value))}<small>/s</small>`;
}

function rateText(history, name, now) {
  const value = rateNow(history, name, now);
  return value === null ? NONE : `${number(rounded(value))}/s`;
}

/** Rates are measured, so digits that change with every look tell nothing. */
function rounded(value) {
  return value >= 10 ? Math.round(value) : Math.round(value * 10) / 10;
}
