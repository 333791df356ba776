// Data of one view, loaded when it is shown, and anew when what it depends on changes.

import { useCallback, useEffect, useRef, useState } from "./html.js";

/**
 * {data, error, loading, reload} of `load(signal)`. While it loads anew the old data stay, and stay
 * beside the error when that fails. An answer that is no longer asked for is dropped.
 */
export function useLoad(load, dependencies = []) {
  const [state, setState] = useState({ loading: true });
  const running = useRef();
  const reload = useCallback(async () => {
    running.current?.abort();
    const controller = (running.current = new AbortController());
    setState((before) => ({ ...before, loading: true }));
    try {
      const data = await load(controller.signal);
      if (!controller.signal.aborted) setState({ data, loading: false });
    } catch (error) {
      if (!controller.signal.aborted) setState((before) => ({ ...before, error, loading: false }));
    }
  }, dependencies);
  useEffect(() => {
    reload();
    return () => running.current?.abort();
  }, [reload]);
  return { ...state, reload };
}
