// What these tests have in common: the requests of a page, to the broker that runs for them, and
// answers that get lost on their way.

import { ApiError, makeApi } from "../../../src/osqueue/server/dashboard/assets/data/api.js";

export const api = makeApi({ base: () => `${process.env.OSQUEUE_URL}/`, fetch });

/** The same, but the first answers to requests of `path` are lost: the broker has done what they asked. */
export function losing(path, count) {
  const lost = [];
  const post = async (to, body, options) => {
    const answer = await api.post(to, body, options);
    if (!path.test(to) || lost.length >= count) return answer;
    lost.push(answer);
    throw new ApiError(0, "TransportConnectionError", "lost by the test");
  };
  return { ...api, post, lost };
}

/** Once `holds` answers true for what a store has; fails after a while. */
export function until(store, holds, what) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => finish(() => reject(new Error(`not within 15 s: ${what}`))), 15_000);
    const stop = store.subscribe(look);
    function finish(settle) {
      clearTimeout(timer);
      stop();
      settle();
    }
    function look() {
      const state = store.get();
      if (holds(state)) finish(() => resolve(state));
    }
    look();
  });
}

let kinds = 0;

/** A job type that no other test has. */
export const freshType = () => `test:${process.pid}:${(kinds += 1)}`;

export async function submit(type, count, more = {}) {
  const jobs = Array.from({ length: count }, (_, n) => ({ type, payload: { n }, ...more }));
  return (await api.post("v1/jobs/batch", { jobs })).jobIds;
}

export async function statusesOf(ids) {
  const jobs = await Promise.all(ids.map((id) => api.get(`v1/jobs/${id}`)));
  return jobs.map(({ status }) => status);
}
