// What the page knows, in one place: what the queue does, how well that is known, and who looks.
// Laws: a state is never changed, only followed by another; whoever subscribes is told of each.

import { useEffect, useReducer, useRef } from "../vendor/hooks.js";

/** How well we know what the broker does; `since` when we know it so. */
export const CONNECTING = "connecting";
export const LIVE = "live";
export const POLLING = "polling";
export const STALE = "stale";

export function makeStore(initial) {
  let state = initial;
  const listeners = new Set();
  return {
    get: () => state,
    set(patch) {
      state = { ...state, ...patch };
      for (const listener of [...listeners]) listener(state);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export const store = makeStore({
  overview: null,
  connection: { state: CONNECTING, since: Date.now() },
  session: null,
});

/** What `selector` picks of the state; the component is drawn again when that is another thing. */
export function useStore(selector = (state) => state) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  const picked = selector(store.get());
  const last = useRef();
  last.current = { selector, picked };
  useEffect(() => {
    const look = (state) => {
      if (last.current.selector(state) !== last.current.picked) redraw();
    };
    look(store.get());
    return store.subscribe(look);
  }, []);
  return picked;
}
