// A state in a word, with its colour: the only place where status has a colour in the tables.

import { classes, html } from "./html.js";

const LABELS = {
  unclaimed: "ready",
  in_progress: "in progress",
  inProgress: "in progress",
};

/** `kind` is a job's status, an event's kind, or "ok", "warn", "bad", "info", "plain". */
export function Badge({ kind, children }) {
  const name = String(kind ?? "plain").replace(/[^a-zA-Z_]/g, "");
  return html`<span class=${classes("badge", `badge-${name}`)}>
    <span class="badge-dot" aria-hidden="true"></span>${children ?? LABELS[kind] ?? kind}
  </span>`;
}
