// What a broker's page is while another one leads: this one knows nothing of the queue.

import { Empty } from "./empty.js";
import { html } from "./html.js";
import { Page } from "./layout.js";

const ADDRESS = /^([\w.-]+|\[[\da-fA-F:.]+\]):\d{1,5}$/;

/** Whether a broker that tells this of itself and its queue has somebody else leading it. */
export function standsBy(overview) {
  return Boolean(overview?.broker && overview.broker.role !== "leader" && !overview.counts);
}

export function StandsBy({ title, broker }) {
  return html`<${Page} title=${title} subtitle=${broker.address}>
    <${Empty} title="This broker stands by" hint="It takes over when the leader is gone. This page goes on by itself then.">
      ${broker.leader && html`<p class="empty-hint">The queue is led by <${Elsewhere} address=${broker.leader} />.</p>`}
    <//>
  <//>`;
}

/** Another broker's dashboard, where its address is one: it may be a name that only brokers know. */
function Elsewhere({ address }) {
  if (!ADDRESS.test(address)) return html`<code>${address}</code>`;
  return html`<a href=${`${location.protocol}//${address}/`}><code>${address}</code></a>`;
}
