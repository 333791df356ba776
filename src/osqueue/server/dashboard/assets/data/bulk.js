// One action on many jobs, in requests of a bounded size. It goes on until all is done, it is told
// to stop, or a request moves nothing: then what is left can't be done, and asking again is no help.

const BATCH = 1_000; // what one request may name

/**
 * Act on the jobs of these ids. Answers `{done, failed: [{jobId, error}], failures, left}`; what
 * could not be asked for is thrown, with `outcome` saying what had been done by then.
 */
export async function actOnIds(api, action, ids, { onProgress, signal } = {}) {
  const batches = batched(ids, BATCH);
  return gathered(onProgress, async (total) => {
    for (const jobIds of batches) {
      if (signal?.aborted) return true;
      total.add(await post(api, { ...action, jobIds }, signal), jobIds.length);
    }
    return false;
  });
}

/** Act on all jobs that a condition selects, those too that come while it goes on. */
export async function actOnFilter(api, action, filter, { onProgress, signal } = {}) {
  return gathered(onProgress, async (total) => {
    for (;;) {
      if (signal?.aborted) return true;
      const answer = await post(api, { ...action, filter, max: BATCH }, signal);
      total.add(answer);
      if (!answer.left || answer.done === 0) return answer.left;
    }
  });
}

/**
 * Act on all jobs that a listing brings, page by page: for what leaves the jobs in the listing.
 * `pageOf(cursor)` answers a page.
 */
export async function actOnPages(api, action, pageOf, { onProgress, signal } = {}) {
  return gathered(onProgress, async (total) => {
    let cursor;
    do {
      if (signal?.aborted) return true;
      const page = await pageOf(cursor);
      cursor = page.nextCursor;
      const jobIds = page.jobs.map((job) => job.id);
      if (jobIds.length > 0) total.add(await post(api, { ...action, jobIds }, signal), jobIds.length);
    } while (cursor !== undefined);
    return false;
  });
}

/**
 * Act on all dead letters of one group. An answer names a bounded number of them, so it is asked for
 * again until the group is gone, or nothing of it moves any more.
 */
export async function actOnGroup(api, action, key, { onProgress, signal } = {}) {
  return gathered(onProgress, async (total) => {
    for (;;) {
      if (signal?.aborted) return true;
      const { groups } = await api.get("v1/dead/groups", {}, { signal });
      const group = groups.find((each) => each.key === key);
      if (group === undefined) return false;
      const answer = await post(api, { ...action, jobIds: group.jobIds }, signal);
      total.add(answer, group.jobIds.length);
      if (answer.done === 0 || group.jobIds.length >= group.count) return answer.done < group.count;
    }
  });
}

class Total {
  constructor(onProgress) {
    this.outcome = { done: 0, failed: [], failures: 0, left: false };
    this.onProgress = onProgress;
  }

  // `asked`: how many the request named. The errors that an answer lists are cut, their number is not.
  add({ done, failed = [] }, asked = done + failed.length) {
    const { outcome } = this;
    outcome.done += done;
    outcome.failures += Math.max(failed.length, asked - done);
    outcome.failed = [...outcome.failed, ...failed].slice(0, 50);
    this.onProgress?.({ ...outcome });
  }
}

async function gathered(onProgress, act) {
  const total = new Total(onProgress);
  try {
    total.outcome.left = await act(total);
    return total.outcome;
  } catch (error) {
    throw Object.assign(error, { outcome: { ...total.outcome, left: true } });
  }
}

function post(api, body, signal) {
  return api.post("v1/jobs/actions", body, { signal });
}

function batched(items, size) {
  const batches = [];
  for (let start = 0; start < items.length; start += size) batches.push(items.slice(start, start + size));
  return batches;
}
