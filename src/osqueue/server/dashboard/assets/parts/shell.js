// The frame around every view: where one can go, how well we are connected, light or dark.

import { LIVE, POLLING, STALE, useStore } from "../data/store.js";
import { ago, compact, timeOfDay } from "../data/format.js";
import { placesFor } from "../data/places.js";
import { href } from "../data/routes.js";
import { logout } from "../data/session.js";
import { useNow } from "./clock.js";
import { Dialogs } from "./dialog.js";
import { classes, html, useEffect, useRef, useState } from "./html.js";
import { showHelp } from "./keys.js";
import { Toasts, toast } from "./toast.js";

const STATES = {
  connecting: "Connecting",
  [LIVE]: "Live",
  [POLLING]: "Polling",
  [STALE]: "Disconnected",
};

const THEME_MARKS = { system: "◐", light: "☀", dark: "☾" };

export function Shell({ current, children }) {
  const state = useStore((all) => all.connection.state);
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <${Top} current=${current} />
    <main class=${classes("main", state === STALE && "is-stale")} id="main" tabindex="-1">${children}</main>
    <${Lost} />
    <${Toasts} />
    <${Dialogs} />`;
}

/** The hash is the view's address, so the link moves the focus by itself. */
function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function Top({ current }) {
  const session = useStore((all) => all.session);
  return html`<header class="top"><div class="top-inside">
    <a class="brand" href=${href("")}><${Mark} />osqueue</a>
    ${session?.login ? html`<span class="nav"></span>` : html`<${Nav} current=${current} />`}
    <div class="top-end">
      ${!session?.login && html`<${Connection} />`}
      <${Account} session=${session} />
      <${Theme} />
      <button type="button" class="icon-button" aria-label="Keys" title="Keys (?)" onClick=${showHelp}>?</button>
    </div>
  </div></header>`;
}

function Mark() {
  return html`<svg class="brand-mark" viewBox="0 0 20 20" aria-hidden="true">
    <rect x="2" y="3" width="16" height="3.6" rx="1.8" /><rect x="2" y="8.2" width="16" height="3.6" rx="1.8" opacity=".65" />
    <rect x="2" y="13.4" width="10" height="3.6" rx="1.8" opacity=".4" />
  </svg>`;
}

function Nav({ current }) {
  const dead = useStore((all) => all.overview?.counts?.dead ?? 0);
  const paused = useStore((all) => all.overview?.counts?.paused ?? false);
  const marks = {
    dead: dead > 0 && html`<span class="nav-count" aria-label=${`${dead} dead letters`}>${compact(dead)}</span>`,
    queue: paused && html`<span class="nav-count is-warn">paused</span>`,
  };
  const roles = useStore((all) => all.session?.roles);
  const bar = useRef();
  useEffect(() => bar.current.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [current, roles, dead > 0]);
  return html`<nav class="nav" aria-label="Pages" ref=${bar}>
    ${placesFor(roles).map(({ name, path = name, label, also = [] }) => html`<a
      key=${name}
      href=${href(path)}
      aria-current=${name === current || also.includes(current) ? "page" : undefined}
    >${label}${marks[name]}</a>`)}
  </nav>`;
}

function Connection() {
  const { state, since } = useStore((all) => all.connection);
  const address = useStore((all) => all.overview?.broker?.address);
  const title = `${STATES[state]} since ${timeOfDay(since)}${address ? `, at ${address}` : ""}`;
  return html`<span class=${classes("connection", `is-${state}`)} title=${title} role="status">
    <span class="connection-dot" aria-hidden="true"></span>
    <span class="connection-text">${STATES[state]}</span>
    ${state !== STALE && address && html`<span class="connection-address">${address}</span>`}
    ${state === STALE && html`<span class="connection-address">since ${timeOfDay(since)}</span>`}
  </span>`;
}

/** Said over the page, not in it, so that nothing moves. */
function Lost() {
  const { state, since, error } = useStore((all) => all.connection);
  const session = useStore((all) => all.session);
  if (state !== STALE || session?.login) return null;
  return html`<${LostFor} since=${since} error=${error} />`;
}

function LostFor({ since, error }) {
  useNow();
  const hint = mayNot(error) ? "" : "What you see is as it was then. It reconnects by itself.";
  return html`<div class="lost" role="alert">
    <span class="connection-dot" aria-hidden="true"></span>
    <span>${whyOf(error, `since ${timeOfDay(since)}, ${ago(since, Date.now())}`)} <span class="muted">${hint}</span></span>
  </div>`;
}

function whyOf(error, since) {
  if (mayNot(error)) return error.message;
  return error?.status ? `The broker refuses to answer ${since}: ${error.message}.` : `The broker has not answered ${since}.`;
}

/** Asking again would not help. */
function mayNot(error) {
  return error?.status === 403;
}

function Account({ session }) {
  if (!session?.name || session.login) return null;
  const leave = () => logout().catch((error) => toast(error.message, "bad"));
  return html`<span class="account">
    <span class="account-name" title=${(session.roles ?? []).join(", ")}>${session.name}</span>
    <button type="button" class="link-button" onClick=${leave}>Log out</button>
  </span>`;
}

function Theme() {
  const [theme, setTheme] = useState(() => globalThis.osqueueTheme.get());
  return html`<button
    type="button"
    class="icon-button"
    aria-label=${`Colours: ${theme}`}
    title=${`Colours: ${theme}`}
    onClick=${() => setTheme(globalThis.osqueueTheme.next())}
  >${THEME_MARKS[theme]}</button>`;
}
