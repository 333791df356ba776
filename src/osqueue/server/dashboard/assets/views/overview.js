// The queue's life at a glance. Everything on it is pushed, but for the newest jobs, which are asked for.

import { Page, Segments, html, useState } from "../parts/ui.js";
import { LIVE, POLLING, useStore } from "../data/store.js";
import { Charts, SPANS } from "./overview/charts.js";
import { Leader } from "./overview/leader.js";
import { Activity, RecentJobs } from "./overview/recent.js";
import { Tiles } from "./overview/tiles.js";
import { Types } from "./overview/types.js";
import { Workers } from "./overview/workers.js";

const SPAN_KEY = "osqueue.span";

export default function View() {
  const overview = useStore((state) => state.overview);
  const connection = useStore((state) => state.connection.state);
  const [span, setSpan] = useSpan(overview);
  const actions = html`<${Segments} label="Time span" options=${SPANS} value=${span} onChange=${setSpan} />`;
  return html`<${Page} title="Overview" actions=${actions}>
    <div class="page" aria-busy=${String(!overview)}>
      ${(overview?.broker?.problems ?? []).map((problem) => html`<p class="problem" role="alert" key=${problem}>${problem}</p>`)}
      <${Tiles} overview=${overview} span=${span} />
      <${Charts} overview=${overview} span=${span} />
      ${overview && html`<${Below} overview=${overview} connected=${connection === LIVE || connection === POLLING} />`}
    </div>
  <//>`;
}

/** What is as high as there is to tell stands last, so that it moves nothing: the workers. */
function Below({ overview, connected }) {
  return html`
    <div class="grid grid-wide">
      <${Types} types=${overview.types} />
      <${Leader} overview=${overview} />
    </div>
    <div class="grid grid-recent">
      <${RecentJobs} seq=${overview.seq} connected=${connected} />
      <${Activity} overview=${overview} />
    </div>
    <${Workers} workers=${overview.workers} />`;
}

/** The span that was chosen, or else the least that shows all there is. */
function useSpan(overview) {
  const [chosen, setSpan] = useState(remembered);
  const choose = (value) => {
    setSpan(value);
    try {
      localStorage.setItem(SPAN_KEY, String(value));
    } catch {
      // it holds until the page is closed
    }
  };
  return [chosen ?? fitting(overview), choose];
}

function fitting(overview) {
  const known = overview?.history ? overview.now - overview.history.from : 0;
  return (SPANS.find(({ value }) => value >= known) ?? SPANS.at(-1)).value;
}

function remembered() {
  try {
    return SPANS.find(({ value }) => String(value) === localStorage.getItem(SPAN_KEY))?.value;
  } catch {
    return undefined;
  }
}
