// What comes faster than anybody can read, at a pace that one can. A machine over timers and a clock.

/**
 * `tell(value)` of the newest value: at once when there was rest, else `periodMs` after the last time.
 * `cancel()` forgets what waits.
 */
export function paced(tell, periodMs, { clock = Date.now, timers = globalThis } = {}) {
  let toldAt = -Infinity;
  let timer;
  let newest;
  const now = () => {
    timer = undefined;
    toldAt = clock();
    tell(newest);
  };
  return {
    put(value) {
      newest = value;
      if (timer !== undefined) return;
      const rest = toldAt + periodMs - clock();
      if (rest <= 0) now();
      else timer = timers.setTimeout(now, Math.min(rest, periodMs)); // a clock may have been set back
    },
    cancel() {
      timers.clearTimeout(timer);
      timer = undefined;
    },
  };
}
