// JSON whose numbers are what was sent: 9007199254740993 would else be shown as ...992, and 1.0 as 1.
// Pure. Numbers that JavaScript writes as they came are plain ones; the others are `Exact`, which
// counts as the nearest number wherever one is reckoned with.

const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const MARK = "\u{e000}";

/** A number by its digits. */
export class Exact {
  constructor(text) {
    this.text = text;
  }

  valueOf() {
    return Number(this.text);
  }

  toString() {
    return this.text;
  }

  toJSON() {
    return Number(this.text);
  }
}

export function isNumber(value) {
  return typeof value === "number" || value instanceof Exact;
}

/** A number that was written as `text`: plain where that loses nothing. */
export function numberOf(text) {
  return String(Number(text)) === text ? Number(text) : new Exact(text);
}

/** What JSON text says. Throws SyntaxError. */
export function parse(text) {
  const plain = JSON.parse(text);
  if (!text.match(TOKENS)?.some(isOdd)) return plain;
  const mark = markFor(JSON.stringify(plain));
  const marked = text.replace(TOKENS, (token) => (isOdd(token) ? `"${mark}${token}"` : token));
  return JSON.parse(marked, (_, value) => (isMarked(value, mark) ? new Exact(value.slice(mark.length)) : value));
}

/** The JSON text of a value, with the digits of its numbers. */
export function stringify(value, indent) {
  const plain = JSON.stringify(value, undefined, indent);
  if (plain === undefined) return undefined;
  const mark = markFor(plain);
  const marked = JSON.stringify(
    value,
    function written(key, said) {
      const one = this[key]; // `said` is what its toJSON makes of it
      return one instanceof Exact ? `${mark}${one.text}` : said;
    },
    indent,
  );
  return marked.replaceAll(new RegExp(`"${mark}([^"]*)"`, "g"), "$1");
}

/** Whether a token is a number that would not be written as it came. */
function isOdd(token) {
  return token[0] !== '"' && String(Number(token)) !== token;
}

// What stands nowhere in a text, so that no string of it can pass for a number.
function markFor(text) {
  let mark = MARK;
  while (text.includes(mark)) mark += MARK;
  return mark;
}

function isMarked(value, mark) {
  return typeof value === "string" && value.startsWith(mark);
}
