// A process that stops in the midst of a call, behind a certain change of the store, until it is killed.

import { once } from "node:events";
import { connect } from "node:net";
import { answerCalls } from "@hotset/test-servers";
import { createCache, memory, type Cache } from "hotset";
import { fromSwap, type SwapStore } from "hotset/backend";
import { sqliteStore } from "../sqlite-backend/sqlite-backend.ts";
import { memcachedStore } from "./memcached-backend.ts";

export type Place =
  | { readonly kind: "memcached"; readonly port: number }
  | { readonly kind: "sqlite"; readonly file: string };

export const storeAt = (place: Place): SwapStore<unknown> =>
  place.kind === "sqlite" ? sqliteStore(place.file, "store") : memcachedStore("127.0.0.1", place.port, "store");

/** The records of one cache of many in a store: the log of each has the same name. */
export const partOf = (store: SwapStore<unknown>, part: string): SwapStore<unknown> => ({
  get: (name) => store.get(part + name),
  swap: (name, ...rest) => store.swap(part + name, ...rest),
  delete: (name, version) => store.delete(part + name, version),
  close: () => store.close(),
});

/** Copies are trusted though the machine is too busy to read the log, so nothing but `recheckMs` ends them unreported. */
export const cacheOver = (store: SwapStore<unknown>): Cache =>
  createCache({ name: "shop" })
    .tier(memory())
    .tier(fromSwap(store, { label: "store", log: { maxStalenessMs: 60_000, recheckMs: 600 }, deadlineMs: 10_000 }))
    .defaults({ ttl: "1h" })
    .build();

/** Calls that a process may die in. `user` is there before, with the tag `users`. */
export const CALLS = {
  set: (cache: Cache) => cache.set("user", "new", { tags: ["users", "more"] }),
  delete: (cache: Cache) => cache.delete("user"),
  markStale: (cache: Cache) => cache.markStale("user"),
  invalidateTags: (cache: Cache) => cache.invalidateTags(["users", "others"]),
  load: (cache: Cache) => cache.getOrSet("user", () => "new", { forceRefresh: true, tags: ["users"] }),
  "load of a missing one": (cache: Cache) => cache.getOrSet("other", () => "new", { tags: ["late"] }),
} as const satisfies Record<string, (cache: Cache) => Promise<unknown>>;
export type CallName = keyof typeof CALLS;

/** How the last change ends: its answer never comes, or half of it has been sent. */
export type Ending = "no answer" | "half sent";

const never = new Promise<never>(() => undefined);

export const handlers = {
  /** Begins a call. @returns whether it stopped behind its change number `step`, or was answered before. */
  begin(name: CallName, part: string, step: number, ending: Ending, place: Place): Promise<"stopped" | "answered"> {
    return new Promise((resolve, reject) => {
      const store = partOf(storeAt(place), part);
      let changes = 0;
      let isStopped = false;
      const changed = async <T>(change: () => Promise<T>, half: () => Promise<unknown>): Promise<T> => {
        changes += 1;
        if (isStopped) return never;
        if (changes < step) return change();
        isStopped = true;
        await (ending === "no answer" ? change() : half());
        resolve("stopped");
        return never;
      };
      const stopping: SwapStore<unknown> = {
        ...store,
        swap: (record, bytes, ...rest) =>
          changed(
            () => store.swap(record, bytes, ...rest),
            () => sendHalf(place, part + record, bytes),
          ),
        delete: (record, version) =>
          changed(
            () => store.delete(record, version),
            async () => undefined,
          ),
      };
      CALLS[name](cacheOver(stopping)).then(() => resolve("answered"), reject);
    });
  },
};
answerCalls(handlers);

/** As the client of memcached sends a swap, which it would execute. */
async function sendHalf(place: Place, name: string, bytes: Uint8Array): Promise<void> {
  if (place.kind !== "memcached") throw new Error("SQLite has no command that is half sent");
  const socket = connect(place.port, "127.0.0.1");
  await once(socket, "connect");
  const half = bytes.subarray(0, bytes.length / 2);
  await new Promise<void>((resolve) => {
    socket.write(Buffer.concat([Buffer.from(`ms ${name} ${bytes.length} c T60\r\n`), half]), () => resolve());
  });
}
