// Schedules as the page shows them: all of them, in the order in which they come. Pure but for `ask`.

const PAGES_MAX = 20; // of 100: more than there can be

/** All schedules, page by page. `ask(query)` brings one. */
export async function allSchedules(ask) {
  const found = [];
  let cursor;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const { schedules, nextCursor } = await ask({ cursor });
    found.push(...schedules);
    if (nextCursor === undefined) break;
    cursor = nextCursor;
  }
  return found;
}

/** Those that come next first, then those that do not come, each by name. */
export function inOrder(schedules) {
  const time = (schedule) => schedule.nextAt ?? Infinity;
  return [...schedules].sort((one, other) => (time(one) === time(other) ? byName(one, other) : time(one) - time(other)));
}

/** Whether the time of one has come, so that there is news of it by now. `slackMs`: what a broker may take. */
export function hasNews(schedules, now, slackMs = 300) {
  return (schedules ?? []).some(({ nextAt }) => nextAt !== undefined && nextAt + slackMs <= now);
}

/** How one stands: {kind, word} for a badge. */
export function standing(schedule) {
  if (schedule.paused) return { kind: "warn", word: "paused" };
  return schedule.nextAt === undefined ? { kind: "plain", word: "over" } : { kind: "ok", word: "active" };
}

/** What can be done with one. */
export function actionsOn(schedule) {
  return ["run", schedule.paused ? "resume" : "pause", "remove"];
}

/** The address of one at the broker, which is a path: a name that is none is asked for as it is. */
export function pathOf(name, action = "") {
  return `v1/schedules/${encodeURIComponent(name)}${action && `/${action}`}`;
}

function byName(one, other) {
  return one.name < other.name ? -1 : 1;
}
