// The broker's time, as far as we know it, and one tick a second for all that shows it.

import { useEffect, useReducer } from "./html.js";
import { store } from "../data/store.js";

const TICK_MS = 1_000;
const watchers = new Set();
let timer;

/** The broker's clock: this machine's may be wrong. */
export function now() {
  return Date.now() - (store.get().overview?.skew ?? 0);
}

/** The broker's time; the component is drawn again each second. */
export function useNow() {
  const [, tick] = useReducer((count) => count + 1, 0);
  useEffect(() => {
    watchers.add(tick);
    timer ??= setInterval(() => watchers.forEach((one) => one()), TICK_MS);
    return () => {
      watchers.delete(tick);
      if (watchers.size) return;
      clearInterval(timer);
      timer = undefined;
    };
  }, []);
  return now();
}
