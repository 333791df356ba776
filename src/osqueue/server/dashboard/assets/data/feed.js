// Puts what the broker tells into the store, as long as somebody looks at the page.

import { api, onUnauthorized, pageBase } from "./api.js";
import { Live, socketUrl } from "./live.js";
import { reduce } from "./overview.js";
import { paced } from "./pace.js";
import { loadSession } from "./session.js";
import { LIVE, POLLING, store } from "./store.js";

/** A page that nobody has seen for so long lets go of the broker, and comes back when it is seen. */
const UNSEEN_MS = 60_000;

/** The page is drawn anew this often at most: the broker tells more often than one can read. */
const DRAWN_EVERY_MS = 500;

/** Begin. Goes on until the page is closed. */
export function startFeed() {
  const overview = makeOverview();
  const live = new Live({
    open: () => new WebSocket(socketUrl(pageBase())),
    poll: (since) => api.get("v1/overview", { since }),
    seq: overview.seq,
    onDocument: overview.add,
    onState: connected,
  });
  onUnauthorized(() => whoAmI().catch(() => {}));
  restWhenUnseen(live);
  store.subscribe(followSession(live, overview));
  whoAmI().catch(() => live.start());
}

/** The overview as it is told, which goes into the store as often as it is to be seen. */
function makeOverview() {
  let newest = null;
  const shown = paced((overview) => store.set({ overview }), DRAWN_EVERY_MS);
  return {
    seq: () => newest?.seq,
    add(document) {
      newest = reduce(newest, document, Date.now());
      shown.put(newest);
    },
    forget() {
      newest = null;
      shown.cancel();
      store.set({ overview: null });
    },
  };
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

/** Ask for nothing that wants a token while there is none, and begin anew as somebody else. */
function followSession(live, overview) {
  let known;
  return ({ session }) => {
    const name = session && `${session.login} ${session.name ?? ""} ${(session.roles ?? []).join()}`;
    if (!name || name === known) return;
    known = name;
    live.stop();
    overview.forget();
    if (!session.login) live.start();
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
