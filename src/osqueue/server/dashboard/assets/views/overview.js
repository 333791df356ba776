// The queue's life at a glance. Everything on it is pushed, but for the newest jobs, which are asked for.

import { Empty, Page, Segments, html, useState } from "../parts/ui.js";
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
  const [span, setSpan] = useSpan();
  const leads = !overview?.broker || overview.broker.role === "leader" || overview.counts;
  if (!leads) return html`<${StandsBy} broker=${overview.broker} />`;
  const actions = html`<${Segments} label="Time span" options=${SPANS} value=${span} onChange=${setSpan} />`;
  return html`<${Page} title="Overview" actions=${actions}>
    <div class="page live" aria-busy=${String(!overview)}>
      ${(overview?.broker?.problems ?? []).map((problem) => html`<p class="problem" role="alert" key=${problem}>${problem}</p>`)}
      <${Tiles} overview=${overview} span=${span} />
      <${Charts} overview=${overview} span=${span} />
      <div class="grid grid-wide">
        <${Types} types=${overview?.types} />
        <${Leader} overview=${overview} />
      </div>
      <${Workers} workers=${overview?.workers} />
      <div class="grid grid-recent">
        <${RecentJobs} seq=${overview?.seq} connected=${connection === LIVE || connection === POLLING} />
        <${Activity} overview=${overview} />
      </div>
    </div>
  <//>`;
}

/** This broker knows nothing of the queue: another one does. */
function StandsBy({ broker }) {
  return html`<${Page} title="Overview" subtitle=${broker.address}>
    <${Empty} title="This broker stands by" hint="It takes over when the leader is gone. This page goes on by itself then.">
      ${broker.leader && html`<p>The queue is led by <code>${broker.leader}</code>: open the dashboard there.</p>`}
    <//>
  <//>`;
}

function useSpan() {
  const [span, setSpan] = useState(() => remembered() ?? SPANS.at(-1).value);
  const choose = (value) => {
    setSpan(value);
    try {
      localStorage.setItem(SPAN_KEY, String(value));
    } catch {
      // it holds until the page is closed
    }
  };
  return [span, choose];
}

function remembered() {
  try {
    return SPANS.find(({ value }) => String(value) === localStorage.getItem(SPAN_KEY))?.value;
  } catch {
    return undefined;
  }
}
