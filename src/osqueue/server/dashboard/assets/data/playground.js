// The playground's producer and worker: one of each per page, which go on while one looks at other
// views, and end with the page.

import { BrowserWorker } from "./browser_worker.js";
import { Producer } from "./producer.js";
import { api, pageBase } from "./api.js";

export const producer = new Producer({ api });
export const worker = new BrowserWorker({ api });

/** Give back what the worker holds when the page goes, as nobody else will before the leases end. */
export function giveBackAtEnd(target = globalThis) {
  target.addEventListener("pagehide", () => {
    for (const { path, body } of worker.leave()) {
      const headers = { "content-type": "application/json", "x-osqueue-ui": "1" };
      const request = { method: "POST", headers, body: JSON.stringify(body), keepalive: true, credentials: "same-origin" };
      fetch(new URL(path, pageBase()), request).catch(() => {});
    }
  });
}
