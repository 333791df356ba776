// Which rows of a long table are worth drawing. Pure.

const OVERSCAN = 8;
/** A table of so few rows is drawn whole: nothing then depends on where it stands. */
const WHOLE_MAX = 60;

/**
 * {start, end} of the rows to draw. `top`: where the first row is, from the upper edge of the window,
 * which is `sight` high; `height`: of one row.
 */
export function rowsInSight({ top, height, sight, length }) {
  if (length <= WHOLE_MAX) return { start: 0, end: length };
  const count = Math.ceil(sight / height) + 2 * OVERSCAN;
  const first = Math.floor(-top / height) - OVERSCAN;
  const start = Math.max(0, Math.min(first, length - count));
  return { start, end: Math.min(length, start + count) };
}
