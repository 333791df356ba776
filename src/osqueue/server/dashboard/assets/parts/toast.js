// Short words on what was done, which go away by themselves; errors stay longer.

import { html, useReducer, useEffect } from "./html.js";

const SHOWN_MS = 4_000;
const ERROR_SHOWN_MS = 10_000;
const SHOWN_MAX = 4;
const listeners = new Set();
let shown = [];
let count = 0;

/** Say something. `kind`: "ok" (default), "bad" or "info". */
export function toast(text, kind = "ok") {
  const one = { id: ++count, text: String(text), kind };
  show([...shown, one].slice(-SHOWN_MAX));
  setTimeout(() => dismiss(one.id), kind === "bad" ? ERROR_SHOWN_MS : SHOWN_MS);
}

/** Where they appear: once, in the page's frame. */
export function Toasts() {
  const [, redraw] = useReducer((n) => n + 1, 0);
  useEffect(() => {
    listeners.add(redraw);
    return () => listeners.delete(redraw);
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${shown.map(({ id, text, kind }) => html`<div key=${id} class=${`toast toast-${kind}`}>
      <span>${text}</span>
      <button type="button" class="icon-button" aria-label="Dismiss" onClick=${() => dismiss(id)}>×</button>
    </div>`)}
  </div>`;
}

function dismiss(id) {
  show(shown.filter((one) => one.id !== id));
}

function show(next) {
  shown = next;
  listeners.forEach((listener) => listener());
}
