// The jobs around one, kept up to date while somebody looks.

import { makeStore } from "./store.js";

const MOVING_MS = 1_500;
const RESTING_MS = 5_000; // a dead letter may be queued again, and others may be submitted
const BACKOFF_MS = [1_000, 2_000, 5_000];

/** `state` is a store of `{workflow}`; undefined while nothing is known. */
export class WorkflowWatch {
  constructor({ api, id, hidden = () => false }) {
    this.api = api;
    this.path = `v1/jobs/${encodeURIComponent(id)}/workflow`;
    this.hidden = hidden;
    this.state = makeStore({ workflow: undefined });
    this.over = new AbortController();
    this.nudge = () => {};
    this.run = this.#watch();
  }

  close() {
    this.over.abort();
    this.nudge();
  }

  /** Look again now. */
  look() {
    this.again = true;
    this.nudge();
  }

  async #watch() {
    const { signal } = this.over;
    let failures = 0;
    while (!signal.aborted) {
      try {
        this.again = false;
        this.state.set({ workflow: await this.api.get(this.path, {}, { signal }) });
        failures = 0;
      } catch {
        failures += 1; // the page says so of the job itself
      }
      await this.#pause(pauseAfter(this.state.get().workflow, failures));
    }
  }

  // Until it is time, or `look` is called; a page in the background waits on.
  async #pause(ms) {
    do {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.nudge = () => (clearTimeout(timer), resolve());
        if (this.again || this.over.signal.aborted) this.nudge();
      });
    } while (this.hidden() && !this.again && !this.over.signal.aborted);
  }
}

/** How long to wait before looking again. */
export function pauseAfter(workflow, failures) {
  if (failures > 0) return BACKOFF_MS[Math.min(failures, BACKOFF_MS.length) - 1];
  const moves = hasEdges(workflow) && workflow.jobs.some(({ status }) => status === "unclaimed" || status === "in_progress");
  return moves ? MOVING_MS : RESTING_MS;
}

/** Whether there is anything to be drawn. */
export function hasEdges(workflow) {
  return workflow !== undefined && workflow.edges.length > 0;
}
