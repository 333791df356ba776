// Who looks, and what they may do. The token goes to the broker once, and is kept nowhere here: the
// broker answers with a cookie that scripts can't read.

import { api } from "./api.js";
import { store } from "./store.js";

/** Ask who we are. */
export async function loadSession() {
  store.set({ session: await api.get("ui/session") });
}

/** Show a token. Throws ApiError when it is no good. */
export async function login(token) {
  await api.post("ui/session", { token });
  await loadSession();
}

/** Forget the session, here and at the broker. */
export async function logout() {
  await api.del("ui/session");
  await loadSession();
}
