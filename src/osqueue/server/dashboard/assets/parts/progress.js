// How far something has got: a job's own word of it, and plain bars of shares.

import { classes, html } from "./html.js";
import { number } from "../data/format.js";

/** A job's progress. Without a `total` it is told only how much is done. */
export function Progress({ done, total, note }) {
  const known = typeof total === "number" && total > 0;
  const share = known ? Math.min(1, Math.max(0, (done ?? 0) / total)) : undefined;
  const said = known ? `${number(done)} of ${number(total)}` : number(done);
  return html`<div class="progress">
    <div
      class=${classes("progress-track", !known && "is-unknown")}
      role="progressbar"
      aria-label=${note || "progress"}
      aria-valuemin="0"
      aria-valuemax=${known ? total : undefined}
      aria-valuenow=${known ? done : undefined}
      aria-valuetext=${said}
    >
      <div class="progress-fill" style=${{ width: known ? `${share * 100}%` : undefined }}></div>
    </div>
    <span class="progress-text" title=${note}>${known ? `${Math.floor(share * 100)}%` : said}${note && html` <span class="muted">${note}</span>`}</span>
  </div>`;
}

/** Shares of a whole beside each other: [{kind, value}]. `of` is the whole, or else their sum. */
export function Bar({ parts, of, label }) {
  const whole = of ?? parts.reduce((sum, part) => sum + part.value, 0);
  return html`<div class="bar" role="img" aria-label=${label}>
    ${parts.map(({ kind, value }) => html`<span
      class=${`bar-part bar-${kind}`}
      style=${{ width: `${whole > 0 ? Math.min(100, (value / whole) * 100) : 0}%` }}
    ></span>`)}
  </div>`;
}
