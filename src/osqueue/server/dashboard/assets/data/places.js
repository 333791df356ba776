// The pages that one can go to, and who may. The broker refuses by itself what the roles don't allow.

/**
 * `path` is the name unless it is said; `also`: pages that belong to it; `roles`: any of them, or
 * everybody; `own`: it tells of the broker itself, not of the queue that one of them leads.
 */
export const PLACES = [
  { name: "overview", path: "", label: "Overview" },
  { name: "jobs", label: "Jobs", also: ["job"] },
  { name: "dead", label: "Dead letters" },
  { name: "queue", label: "Queue" },
  { name: "schedules", label: "Schedules" },
  { name: "playground", label: "Playground", roles: ["produce", "work"] },
  { name: "state", label: "State", roles: ["admin"] },
  { name: "settings", label: "Settings", roles: ["admin"], own: true },
];

/** The roles of which one is needed for a page; empty: none is. */
export function rolesFor(name) {
  return PLACES.find((place) => place.name === name)?.roles ?? [];
}

/** The page that a view belongs to. */
export function placeOf(name) {
  return PLACES.find((place) => place.name === name || place.also?.includes(name));
}

/** Those of the pages that somebody with these roles may see. */
export function placesFor(roles) {
  return PLACES.filter((place) => allows(place.roles, roles));
}

/** Whether one of the `needed` roles is among `roles`, or none is needed. */
export function allows(needed = [], roles = []) {
  return !needed.length || needed.some((role) => roles.includes(role));
}
