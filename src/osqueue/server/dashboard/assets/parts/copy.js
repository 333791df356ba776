// Copies a text to the clipboard, and says so.

import { Button } from "./button.js";
import { html } from "./html.js";
import { toast } from "./toast.js";

/** `text()` is what is copied; `what` says so to those who can't see where the button stands. */
export function Copy({ text, what, ...rest }) {
  return html`<${Button} onClick=${() => copy(text())} aria-label=${what && `Copy ${what}`} ...${rest}>Copy<//>`;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied");
  } catch {
    toast("This browser does not let the page copy: it does so over HTTPS, and on this machine.", "bad");
  }
}
