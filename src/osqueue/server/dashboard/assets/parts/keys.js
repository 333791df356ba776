// What the keyboard does on every page. Tables have keys of their own.

import { html } from "./html.js";
import { Dialog, openDialog } from "./dialog.js";
import { isTyping } from "./table.js";

const PREFIX_MS = 1_500;

/** After g: where it goes. */
export const PLACES = { o: "", j: "jobs", d: "dead", q: "queue", c: "schedules", p: "playground", r: "state", s: "settings" };

const HELP = [
  [["/"], "Search"],
  [["j", "↓"], "Next row"],
  [["k", "↑"], "Row before"],
  [["Enter"], "Open the row"],
  [["x"], "Choose the row"],
  [["g", "o"], "Overview"],
  [["g", "j"], "Jobs"],
  [["g", "d"], "Dead letters"],
  [["g", "q"], "Queue"],
  [["g", "c"], "Schedules"],
  [["g", "p"], "Playground"],
  [["g", "r"], "Raw state"],
  [["g", "s"], "Settings"],
  [["Esc"], "Close, or leave a field"],
  [["?"], "These keys"],
];

/** Listen for the life of the page. `go(path)` shows a view. */
export function listenToKeys({ go }) {
  let prefixAt = -Infinity;
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const afterG = event.timeStamp - prefixAt < PREFIX_MS;
    prefixAt = event.key === "g" && !afterG ? event.timeStamp : -Infinity;
    if (afterG && Object.hasOwn(PLACES, event.key)) done(event, () => go(PLACES[event.key]));
    else if (event.key === "/") done(event, () => search(go));
    else if (event.key === "?") done(event, showHelp);
  }, { capture: true });
}

/** Show all keys. */
export function showHelp() {
  openDialog((close) => html`<${Dialog} title="Keys" onClose=${close}>
    <dl class="keys">
      ${HELP.map(([keys, what]) => html`<div class="keys-line">
        <dt>${keys.map((key) => html`<kbd>${key}</kbd>`)}</dt><dd>${what}</dd>
      </div>`)}
    </dl>
  <//>`);
}

function search(go) {
  const field = document.querySelector("[data-search]");
  if (field) field.focus();
  else go("jobs");
}

function done(event, act) {
  event.preventDefault();
  event.stopPropagation();
  act();
}
