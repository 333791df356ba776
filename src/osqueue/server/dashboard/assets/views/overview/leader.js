// Who leads, since when, and who would take over.

import { Badge, Card, Field, Time, html, may } from "../../parts/ui.js";
import { bytes, number } from "../../data/format.js";
import { href } from "../../data/routes.js";

export function Leader({ overview }) {
  const raw = may("admin") && html`<a href=${href("state")}>Raw state</a>`;
  return html`<${Card} title="Broker" aside=${raw}>
    <${Fields} broker=${overview.broker ?? {}} counts=${overview.counts} />
  <//>`;
}

function Fields({ broker, counts }) {
  return html`<dl class="fields">
    <${Field} label="Address"><code>${broker.address}</code><//>
    <${Field} label="State"><${Badge} kind=${broker.ready ? "ok" : "warn"}>${stateOf(broker)}<//><//>
    <${Field} label="Epoch">${broker.epoch}<//>
    <${Field} label="Leads since"><${Time} at=${broker.leaderSince} /><//>
    <${Field} label="Standbys"><${Standbys} standbys=${broker.standbys ?? []} /><//>
    <${Field} label="Store">${broker.store}<//>
    <${Field} label="State's size">${bytes(broker.stateBytes)}<//>
    <${Field} label="Waiting claims">${number(counts?.waitingClaims)}<//>
    <${Field} label="Version">${broker.version}<//>
  </dl>`;
}

function stateOf({ role, ready }) {
  if (role !== "leader") return "stands by";
  return ready ? "leads" : "leads, not ready";
}

function Standbys({ standbys }) {
  if (!standbys.length) return html`<span class="muted">none</span>`;
  return standbys.map(({ id, address, seenAt }) => html`<div key=${id} class="standby"><code>${address || id}</code> <span class="muted"><${Time} at=${seenAt} /></span></div>`);
}
