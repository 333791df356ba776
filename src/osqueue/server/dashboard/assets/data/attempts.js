// What has become of a job, in the order in which it was: from its submission to its end. Pure.

import { statusOf } from "./rows.js";

/** Statuses that nothing leads out of. */
export const ENDS = ["completed", "cancelled", "expired", "discarded"];

/** Whether anything can still happen to a job, and without anybody's help. */
export function isMoving(job) {
  return job.status === "unclaimed" || job.status === "in_progress";
}

/**
 * The steps: `{kind, at, attempt, workerId, error, note}`, the newest last. Of the attempts only the
 * last few are kept by the broker: `note` tells how many failed before those.
 */
export function timelineOf(job, now) {
  const errors = errorsOf(job);
  return [
    { kind: "submitted", at: job.createdAt },
    ...forgotten(job, errors),
    ...errors.map((error) => ({ ...error, kind: "failed", error })),
    ...current(job, errors, now),
  ];
}

/** Which actions make sense on a job: what they are called is the view's affair. */
export function actionsOn(job) {
  if (job.status === "dead") return ["retry", "discard"];
  if (job.status === "in_progress") return ["cancel"];
  return job.status === "unclaimed" ? ["cancel", "setPriority"] : [];
}

// What ended the job without an attempt is no failed attempt: it stands with the end.
function errorsOf(job) {
  return allErrorsOf(job).filter(({ attempt }) => attempt !== 0);
}

function allErrorsOf(job) {
  if (job.errors?.length > 0) return job.errors;
  return job.lastError === undefined ? [] : [job.lastError];
}

// Attempts that failed and of which nothing is kept. The one that goes on, or that ended the job
// well, has no error; attempts whose numbers nobody noted can't be counted.
function forgotten(job, errors) {
  const first = errors[0]?.attempt;
  if (first === undefined || first <= 1) return [];
  const count = first - 1;
  return [{ kind: "forgotten", note: `${count} earlier failed ${count === 1 ? "attempt" : "attempts"}` }];
}

function current(job, errors, now) {
  if (job.status === "in_progress") return [running(job)];
  if (job.status === "unclaimed") return [waiting(job, now)];
  if (job.status === "dead") return [{ kind: "dead", at: job.endedAt ?? errors.at(-1)?.at }];
  const { workerId, attempts } = job;
  const did = job.status === "completed" ? { workerId, attempt: attempts } : {};
  const error = allErrorsOf(job).find(({ attempt }) => attempt === 0);
  return [{ kind: job.status, at: job.endedAt, ...did, ...(error && { error }) }];
}

function running({ attempts, workerId, heartbeat }) {
  return { kind: "running", at: heartbeat || undefined, attempt: attempts, workerId };
}

function waiting(job, now) {
  const kind = statusOf(job, now);
  return kind === "delayed" ? { kind, at: job.runAt } : { kind };
}
