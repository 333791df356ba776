// The library of views, bound once: everything else imports it from here.
// Law: what comes from a job is a child or a property here, so it is text, never markup.

import { Fragment, h, render } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { Fragment, render };
export * from "../vendor/hooks.js";

export const html = htm.bind(h);

/** Class names in one string, without those that are not set. */
export function classes(...names) {
  return names.filter(Boolean).join(" ");
}
