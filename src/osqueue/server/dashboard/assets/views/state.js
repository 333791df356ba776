// The state object as it is stored. It may be large, so it is loaded when asked for, and drawn folded.

import { Button, Card, Copy, Empty, ErrorBox, Json, Page, html, useRef, useState } from "../parts/ui.js";
import { api } from "../data/api.js";
import { parse } from "../data/exact.js";
import { bytes } from "../data/format.js";
import { useStore } from "../data/store.js";

/** Larger ones are only downloaded: a page can't hold them folded. */
const SHOWN_BYTES_MAX = 32 * 2 ** 20;

export default function View() {
  const size = useStore((state) => state.overview?.broker?.stateBytes);
  const { loaded, error, busy, load } = useRawState();
  const large = size > SHOWN_BYTES_MAX;
  const actions = html`
    <${Button} onClick=${load} busy=${busy} disabled=${large} kind=${loaded ? undefined : "primary"}>${loaded ? "Load again" : "Load"}<//>
    <${Copy} text=${() => loaded.text} what="the state object" disabled=${!loaded} />
    <a class="button" href="state" download="queue.json">Download</a>`;
  return html`<${Page} title="State" subtitle=${`The object that holds the queue, ${bytes(size)}`} actions=${actions}>
    ${error && html`<${ErrorBox} error=${error} onRetry=${load} />`}
    <${Card}>
      ${loaded
        ? html`<${Json} key=${loaded.count} value=${loaded.value} open=${true} label="The state object" />`
        : html`<${Empty} title=${large ? "Too large to show here" : "Not loaded"} hint=${large ? "Download it instead." : "It is the whole queue, with the payloads that it holds."} />`}
    <//>
  <//>`;
}

function useRawState() {
  const [state, setState] = useState({});
  const count = useRef(0);
  const load = async () => {
    setState((before) => ({ loaded: before.loaded, busy: true }));
    try {
      const text = await api.text("state");
      setState({ loaded: { text, value: parse(text), count: ++count.current } });
    } catch (error) {
      setState((before) => ({ loaded: before.loaded, error }));
    }
  };
  return { ...state, load };
}
