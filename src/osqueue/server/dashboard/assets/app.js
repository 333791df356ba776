// The page: finds the view that the address names, and draws it in the frame.

import { startFeed } from "./data/feed.js";
import { allows, placeOf, rolesFor } from "./data/places.js";
import { go, parse } from "./data/routes.js";
import { LIVE, POLLING, store, useStore } from "./data/store.js";
import { html, render, useEffect, useErrorBoundary, useState } from "./parts/html.js";
import { listenToKeys } from "./parts/keys.js";
import { Shell } from "./parts/shell.js";
import { Empty, ErrorBox, Page, Skeleton, StandsBy, standsBy } from "./parts/ui.js";

const VIEWS = {
  overview: () => import("./views/overview.js"),
  jobs: () => import("./views/jobs.js"),
  job: () => import("./views/job.js"),
  dead: () => import("./views/dead.js"),
  queue: () => import("./views/queue.js"),
  schedules: () => import("./views/schedules.js"),
  playground: () => import("./views/playground.js"),
  state: () => import("./views/state.js"),
  settings: () => import("./views/settings.js"),
  login: () => import("./views/login.js"),
};

/** By then the first view has what it needs. */
const SETTLED_MS = 1_000;

/** {name, params, query} of an address: "#/jobs/<id>" is the view "job", "#/schedules/<name>" one of those. */
function routeOf(hash) {
  const { path, query } = parse(hash);
  const [name = "overview", id] = path;
  if (name === "jobs" && id !== undefined) return { name: "job", params: { id }, query };
  return { name, params: name === "schedules" ? { id } : {}, query };
}

function useRoute() {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  useEffect(() => {
    const change = () => setRoute(routeOf(location.hash));
    addEventListener("hashchange", change);
    return () => removeEventListener("hashchange", change);
  }, []);
  return route;
}

/** The view's function, once its file is there. */
function useView(name) {
  const [loaded, setLoaded] = useState({});
  const [tries, setTries] = useState(0);
  useEffect(() => {
    let current = true;
    const show = (what) => current && setLoaded({ name, ...what });
    if (!Object.hasOwn(VIEWS, name)) return undefined; // "constructor" is an address, too
    VIEWS[name]().then((module) => show({ View: module.default }), (error) => show({ error }));
    return () => (current = false);
  }, [name, tries]);
  const failed = loaded.name === name && loaded.error !== undefined;
  const reached = useStore(({ connection }) => connection.state === LIVE || connection.state === POLLING);
  useEffect(() => {
    if (failed && reached) setTries((before) => before + 1);
  }, [failed, reached]);
  return { ...(loaded.name === name ? loaded : {}), retry: () => setTries((before) => before + 1) };
}

/** A view for those who may see it, of a queue that this broker leads. */
function Guarded({ session, name, ...rest }) {
  const needed = rolesFor(name);
  const overview = useStore((state) => (standsBy(state.overview) ? state.overview : null));
  const place = placeOf(name);
  if (overview && place && !place.own) return html`<${StandsBy} title=${place.label} broker=${overview.broker} />`;
  if (allows(needed, session?.roles)) return html`<${Routed} name=${name} ...${rest} />`;
  if (!session) return html`<${Waiting} />`;
  return html`<${Page} title="Not allowed">
    <${Empty} title="Your token does not allow this page" hint=${`It takes the role ${needed.join(" or ")}.`} />
  <//>`;
}

function NoSuchPage() {
  return html`<${Page} title="Not found">
    <${Empty} title="There is no such page" hint="The address may be of another version." />
  <//>`;
}

function Broken({ name, error, onRetry }) {
  return html`<${Page} title=${placeOf(name)?.label ?? "Log in"}><${ErrorBox} error=${error} onRetry=${onRetry} /><//>`;
}

function Waiting() {
  return html`<div class="page"><${Skeleton} lines=${8} /></div>`;
}

function Routed({ name, params, query }) {
  const { View, error, retry } = useView(name);
  const [crash, reset] = useErrorBoundary((problem) => console.error(problem));
  if (!Object.hasOwn(VIEWS, name)) return html`<${NoSuchPage} />`;
  if (crash) return html`<${Broken} name=${name} error=${crash} onRetry=${reset} />`;
  if (error) return html`<${Broken} name=${name} error=${{ message: "This page could not be loaded." }} onRetry=${retry} />`;
  return View ? html`<${View} params=${params} query=${query} />` : html`<${Waiting} />`;
}

/** The other views too, so that they are there when the broker is not. */
function fetchAll() {
  const stop = store.subscribe(({ connection }) => {
    if (connection.state !== LIVE && connection.state !== POLLING) return;
    stop();
    setTimeout(() => Object.values(VIEWS).forEach((view) => view().catch(() => {})), SETTLED_MS);
  });
}

function App() {
  const route = useRoute();
  const session = useStore((state) => state.session);
  const name = session?.login ? "login" : route.name;
  useEffect(() => scrollTo(0, 0), [name, route.params.id]);
  return html`<${Shell} current=${name}>
    <${Guarded} key=${`${name} ${route.params.id ?? ""}`} ...${route} name=${name} session=${session} />
  <//>`;
}

history.scrollRestoration = "manual"; // the browser would do it before the view is there
listenToKeys({ go });
startFeed();
fetchAll();
const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
