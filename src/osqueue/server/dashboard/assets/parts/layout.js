// The page's pieces: a view's frame, cards, labelled values, choices.

import { classes, html, useEffect, useId } from "./html.js";

/** A view: its title, which is the document's too, what can be done (`actions`), and its content. */
export function Page({ title, subtitle, actions, children }) {
  useEffect(() => {
    document.title = `${title} · osqueue`;
  }, [title]);
  return html`<div class="page">
    <header class="page-head">
      <div class="page-titles">
        <h1>${title}</h1>
        ${subtitle && html`<p class="page-subtitle">${subtitle}</p>`}
      </div>
      ${actions && html`<div class="page-actions">${actions}</div>`}
    </header>
    ${children}
  </div>`;
}

/** A surface with a title. `kind` is a further class, such as "flush" for tables. */
export function Card({ title, aside, kind, children }) {
  const id = useId();
  return html`<section class=${classes("card", kind && `card-${kind}`)} aria-labelledby=${title ? id : undefined}>
    ${title && html`<header class="card-head">
      <h2 id=${id}>${title}</h2>
      ${aside && html`<div class="card-aside">${aside}</div>`}
    </header>`}
    <div class="card-body">${children}</div>
  </section>`;
}

/** One figure at a glance. */
export function Stat({ label, value, note, chart, kind }) {
  return html`<section class=${classes("stat", kind && `stat-${kind}`)} aria-label=${label}>
    <h2 class="stat-label">${label}</h2>
    <p class="stat-value">${value}</p>
    <p class="stat-note" title=${typeof note === "string" ? note : undefined}>${note}</p>
    ${chart && html`<div class="stat-chart">${chart}</div>`}
  </section>`;
}

/** A name and its value, in a list of such. */
export function Field({ label, children }) {
  return html`<div class="field"><dt>${label}</dt><dd>${children}</dd></div>`;
}

/** One of a few: options are [{value, label}]. */
export function Segments({ label, options, value, onChange }) {
  return html`<div class="segments" role="group" aria-label=${label}>
    ${options.map((option) => html`<button
      type="button"
      class="segment"
      aria-pressed=${String(option.value === value)}
      onClick=${() => onChange(option.value)}
    >${option.label}</button>`)}
  </div>`;
}
