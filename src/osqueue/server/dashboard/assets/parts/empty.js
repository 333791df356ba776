// What stands where there is nothing to show: nothing there, nothing yet, or a failure.

import { html } from "./html.js";
import { Button } from "./button.js";

/** There is nothing; `hint` says what would make something come. */
export function Empty({ title, hint, children }) {
  return html`<div class="empty">
    <p class="empty-title">${title}</p>
    ${hint && html`<p class="empty-hint">${hint}</p>`}
    ${children}
  </div>`;
}

/** It failed: what, why, and again. */
export function ErrorBox({ error, onRetry }) {
  const tag = error?.tag || error?.name;
  return html`<div class="error-box" role="alert">
    <p class="error-title">${error?.message || String(error)}</p>
    ${tag && html`<p class="error-tag">${tag}${error.status ? ` · ${error.status}` : ""}</p>`}
    ${onRetry && html`<${Button} onClick=${onRetry}>Try again<//>`}
  </div>`;
}

/** The place of `lines` lines that are yet to come, as high as they will be. */
export function Skeleton({ lines = 3, label = "loading" }) {
  return html`<div class="skeleton" role="status" aria-label=${label}>
    ${Array.from({ length: lines }, () => html`<div class="skeleton-line"></div>`)}
  </div>`;
}
