// What the person at the page may do. Only a courtesy: the broker checks every request itself.

import { store } from "../data/store.js";

/** Whether the session has a role: "observe", "admin", "produce", "work". What it lacks is not shown. */
export function may(role) {
  return store.get().session?.roles?.includes(role) ?? false;
}
