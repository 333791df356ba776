// The views' addresses, which are hashes, so that they hold under any path: "#/jobs?status=dead".

/** What a hash says: {path: ["jobs", "<id>"], query: {…}}. Nothing in it is trusted to be well-formed. */
export function parse(hash) {
  const [path, search = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { path: parts, query: Object.fromEntries(new URLSearchParams(search)) };
}

/** The address of a view: href(["jobs", id]) or href("jobs", {status: "dead"}). */
export function href(path, query = {}) {
  const parts = Array.isArray(path) ? path : [path];
  const said = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = new URLSearchParams(said.map(([name, value]) => [name, String(value)])).toString();
  return `#/${parts.filter(Boolean).map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}

/** Show a view. `replace`: without a step in the browser's history, for what changes while one types. */
export function go(path, query, { replace = false } = {}) {
  const address = href(path, query);
  if (!replace) {
    globalThis.location.hash = address;
    return;
  }
  globalThis.history.replaceState(null, "", address);
  globalThis.dispatchEvent(new HashChangeEvent("hashchange"));
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
