// A point of time: how long ago, and when exactly.

import { html } from "./html.js";
import { useNow } from "./clock.js";
import { NONE, absolute, ago, elapsed } from "../data/format.js";

/** `at` in ms since the epoch. `exact`: the date is shown too, not only when it is pointed at. */
export function Time({ at, exact = false }) {
  const present = useNow();
  if (typeof at !== "number" || Number.isNaN(new Date(at).getTime())) return html`<span class="muted">${NONE}</span>`;
  const relative = ago(at, present);
  return html`<time class="time" datetime=${new Date(at).toISOString()} title=${absolute(at)}>
    ${exact ? html`<span class="nowrap">${absolute(at)}</span> <span class="time-ago">${relative}</span>` : relative}
  </time>`;
}

/** How long something has gone on. */
export function Elapsed({ since }) {
  const present = useNow();
  return html`<span class="time" title=${`since ${absolute(since)}`}>${elapsed(since, present)}</span>`;
}
