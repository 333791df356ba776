// A button. While it is busy it keeps its width, and can't be pressed again.

import { classes, html } from "./html.js";

/** `kind`: "primary", "danger", "quiet" or nothing. Further properties go to the element. */
export function Button({ kind, onClick, disabled = false, busy = false, children, type = "button", ...rest }) {
  return html`<button
    type=${type}
    class=${classes("button", kind && `button-${kind}`, busy && "is-busy")}
    disabled=${disabled || busy}
    aria-busy=${busy ? "true" : undefined}
    onClick=${onClick}
    ...${rest}
  >${children}</button>`;
}
