// What the broker runs with. Read-only: it is set where the broker is started.

import { Card, Empty, ErrorBox, Page, Skeleton, html, useLoad, useState } from "../parts/ui.js";
import { api } from "../data/api.js";
import { groupsOf, written } from "../data/settings.js";

export default function View() {
  const { data, error, reload } = useLoad((signal) => api.get("v1/settings", {}, { signal }));
  const [text, setText] = useState("");
  const search = html`<input class="input" type="search" data-search placeholder="Search" aria-label="Search the settings"
    value=${text} onInput=${(event) => setText(event.currentTarget.value)} />`;
  return html`<${Page} title="Settings" subtitle="Read-only: what this broker was started with" actions=${search}>
    ${error && html`<${ErrorBox} error=${error} onRetry=${reload} />`}
    ${!error && !data && html`<${Card}><${Skeleton} lines=${12} /><//>`}
    ${data && html`<${Groups} groups=${groupsOf(data.settings, text)} />`}
  <//>`;
}

function Groups({ groups }) {
  if (!groups.length) return html`<${Card}><${Empty} title="No setting says that" hint="Names, values, variables and explanations are searched." /><//>`;
  return groups.map(({ name, settings }) => html`<${Card} key=${name} title=${name} kind="settings">
    <dl class="settings">
      ${settings.map((setting) => html`<${Setting} key=${setting.name} setting=${setting} />`)}
    </dl>
  <//>`);
}

function Setting({ setting: { short, name, value, env, help } }) {
  const unset = value === null || value === undefined;
  return html`<div class="setting">
    <dt><code title=${name}>${short}</code></dt>
    <dd><code class=${unset ? "muted" : ""}>${written(value)}</code></dd>
    <dd class="setting-help">${env && html`<code class="setting-env">${env}</code>`}<${Prose} text=${help} /></dd>
  </div>`;
}

/** Words between backticks are code, as in the source that they are from. */
function Prose({ text = "" }) {
  return text.split(/`+([^`]+)`+/).map((part, index) => (index % 2 ? html`<code>${part}</code>` : part));
}
