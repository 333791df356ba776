// The schedules of the queue, kept current while a view shows them: asked for anew when one has come,
// and now and then.

import { allSchedules, hasNews, inOrder } from "../data/schedules.js";
import { api } from "../data/api.js";
import { store } from "../data/store.js";
import { now } from "./clock.js";
import { useCallback, useEffect, useState } from "./html.js";

const LOOK_MS = 1_000;
const REST_LOOKS = 5; // without news it is looked after only every so often

let last = {}; // what a view shows until it knows better, and to whom

/** {schedules, error, reload}: those that come next first; undefined until they are known. */
export function useSchedules() {
  const [shown, setShown] = useState({ schedules: last.who === who() ? last.found : undefined });
  const look = useCallback(async (signal) => {
    try {
      const found = inOrder(await allSchedules((query) => api.get("v1/schedules", query, { signal })));
      if (signal?.aborted) return;
      last = { found, who: who() };
      setShown({ schedules: found });
    } catch (error) {
      if (!signal?.aborted) setShown((before) => ({ ...before, error }));
    }
  }, []);
  useEffect(() => {
    const controller = new AbortController();
    look(controller.signal);
    let looks = 0;
    const timer = setInterval(() => {
      looks += 1;
      const rests = !hasNews(last.found, now()) && looks % REST_LOOKS !== 0;
      if (!rests && !document.hidden && store.get().connection.state !== "stale") look(controller.signal);
    }, LOOK_MS);
    return () => {
      clearInterval(timer);
      controller.abort();
    };
  }, [look]);
  return { ...shown, reload: () => look() };
}

function who() {
  return store.get().session?.name;
}
