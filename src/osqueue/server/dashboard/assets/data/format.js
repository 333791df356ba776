// How figures, times and sizes are written. Pure: what the time is, and the locale, are arguments.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** What stands where there is no figure. */
export const NONE = "–";

/** A count or a rate, grouped: 12,345 or 0.42. */
export function number(n, locale) {
  if (!isFigure(n)) return NONE;
  return new Intl.NumberFormat(locale, { maximumFractionDigits: fractionDigits(n) }).format(n);
}

/** A large count in few characters: 12.3k, 4.56M. */
export function compact(n, locale) {
  if (!isFigure(n) || Math.abs(n) < 10_000) return number(n, locale);
  const options = { notation: "compact", maximumSignificantDigits: 3 };
  return new Intl.NumberFormat(locale, options).format(n);
}

/** A length of time in at most two units: 850ms, 1.2s, 3m 20s, 4d 3h. */
export function duration(ms) {
  if (!isFigure(ms)) return NONE;
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms < SECOND) return subSecond(ms);
  if (ms < 10 * SECOND) return seconds(ms);
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)}s`;
  if (ms < HOUR) return twoUnits(ms, MINUTE, "m", SECOND, "s");
  if (ms < DAY) return twoUnits(ms, HOUR, "h", MINUTE, "m");
  return twoUnits(ms, DAY, "d", HOUR, "h");
}

/** How long ago `ms` was, or how far ahead it is, in one unit: 12s ago, in 3m. */
export function ago(ms, now) {
  if (!isFigure(ms)) return NONE;
  const passed = now - ms;
  if (Math.abs(passed) < SECOND) return "now";
  return passed > 0 ? `${oneUnit(passed)} ago` : `in ${oneUnit(-passed)}`;
}

/** How long something has gone on that began at `ms`, in one unit: 12s. */
export function elapsed(ms, now) {
  return isFigure(ms) ? oneUnit(Math.max(0, now - ms)) : NONE;
}

/** A point of time in the reader's own time zone: 2026-11-22 16:41:03. */
export function absolute(ms) {
  if (!isFigure(ms)) return NONE;
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) return NONE;
  const date = [at.getFullYear(), pad(at.getMonth() + 1), pad(at.getDate())].join("-");
  return `${date} ${timeOfDay(ms)}`;
}

/** The time of the day: 16:41:03. */
export function timeOfDay(ms) {
  if (!isFigure(ms)) return NONE;
  const at = new Date(ms);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(pad).join(":");
}

/** A size: 812 B, 1.5 MiB. */
export function bytes(n) {
  if (!isFigure(n)) return NONE;
  let unit = 0;
  while (n >= 1024 && unit < BYTE_UNITS.length - 1) {
    n /= 1024;
    unit += 1;
  }
  return `${unit && n < 10 ? n.toFixed(1) : Math.round(n)} ${BYTE_UNITS[unit]}`;
}

/** A word for one or for several: plural(1, "job") is "1 job". */
export function plural(n, one, many = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : many}`;
}

function isFigure(n) {
  return typeof n === "number" && Number.isFinite(n);
}

function fractionDigits(n) {
  const size = Math.abs(n);
  if (Number.isInteger(n) || size >= 100) return 0;
  return size >= 10 ? 1 : 2;
}

function subSecond(ms) {
  if (ms === 0 || ms >= 10) return `${Math.round(ms)}ms`;
  return `${Number(ms.toPrecision(2))}ms`;
}

function seconds(ms) {
  return `${Math.floor(ms / 100) / 10}s`;
}

function oneUnit(ms) {
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)}s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)}m`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)}h`;
  return `${Math.floor(ms / DAY)}d`;
}

function twoUnits(ms, large, largeName, small, smallName) {
  const rest = Math.floor((ms % large) / small);
  const whole = `${Math.floor(ms / large)}${largeName}`;
  return rest ? `${whole} ${rest}${smallName}` : whole;
}

function pad(n) {
  return String(n).padStart(2, "0");
}
