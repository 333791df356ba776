// Puts what the broker tells into the store, as long as somebody looks at the page.

import { api, onUnauthorized, pageBase } from "./api.js";
import { Live, socketUrl } from "./live.js";
import { reduce } from "./overview.js";
import { loadSession } from "./session.js";
import { LIVE, POLLING, store } from "./store.js";

/** A page that nobody has seen for so long lets go of the broker, and comes back when it is seen. */
const UNSEEN_MS = 60_000;

/** Begin. Goes on until the page is closed. */
export function startFeed() {
  const live = new Live({
    open: () => new WebSocket(socketUrl(pageBase())),
    poll: (since) => api.get("v1/overview", { since }),
    seq: () => store.get().overview?.seq,
    onDocument: (document) => store.set({ overview: reduce(store.get().overview, document, Date.now()) }),
    onState: connected,
  });
  onUnauthorized(() => whoAmI().catch(() => {}));
  restWhenUnseen(live);
  store.subscribe(followSession(live));
  whoAmI().catch(() => live.start());
}

function connected(connection) {
  store.set({ connection });
  const reached = connection.state === LIVE || connection.state === POLLING;
  if (reached && !store.get().session) whoAmI().catch(() => {}); // it is asked again with the next word
}

/** Whoever can't be told now is told when the broker answers again. */
async function whoAmI() {
  await loadSession().catch((error) => {
    if (!store.get().session) throw error;
  });
}

/** Ask for nothing that wants a token while there is none, and begin anew with another one. */
function followSession(live) {
  let known;
  return ({ session }) => {
    const name = session && `${session.login} ${session.name ?? ""} ${(session.roles ?? []).join()}`;
    if (!name || name === known) return;
    known = name;
    if (session.login) live.stop();
    else live.start();
  };
}

function restWhenUnseen(live) {
  let timer;
  let resting = false;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) {
      timer = setTimeout(() => {
        resting = true;
        live.stop();
      }, UNSEEN_MS);
    } else if (resting) {
      resting = false;
      live.start();
    }
  });
}
