// The service as a process: listens, and ends by SIGTERM without a failed request, within DRAIN_TIMEOUT_MS.
//
//     node src/main.ts

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createApp } from "./app.ts";
import { readSettings } from "./settings.ts";
import { openShop } from "./shop.ts";

const settings = readSettings(process.env);
const shop = openShop(settings);
let isDraining = false;
const server = createApp(shop, () => isDraining);

/** Requests end first, then the cache and the worker, then the process. */
async function drain(): Promise<void> {
  isDraining = true; // 503 at /ready, so that no new requests come
  await sleep(settings.drainDelayMs);
  server.close(); // no new connections; idle ones are closed
  await once(server, "close"); // every request that was accepted has been answered
  await shop.close();
}

function stop(signal: NodeJS.Signals): void {
  // The first process of a container ignores a signal without a handler: the second one needs this.
  for (const again of ["SIGTERM", "SIGINT"] as const) process.removeAllListeners(again).once(again, endNow);
  console.log(`${signal}: draining, for ${settings.drainTimeoutMs} ms at most`);
  const bound = setTimeout(() => {
    console.error(`not drained within DRAIN_TIMEOUT_MS: ${settings.drainTimeoutMs} ms; what is under way is cut off`);
    process.exit(1);
  }, settings.drainTimeoutMs);
  drain().then(
    () => {
      clearTimeout(bound);
      process.exit(0);
    },
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
}

/** As a shell reports an end by SIGTERM. */
const endNow = (): never => process.exit(143);

process.once("SIGTERM", stop).once("SIGINT", stop);
server.listen(settings.port, () => console.log(`listening on port ${(server.address() as AddressInfo).port}`));
