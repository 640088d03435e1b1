// What Keyv 6 makes of the store is under test, as its users have it: it adapts stores that take a `ttl`.
import { createCache } from "@hotset/core";
import { keyvStore } from "@hotset/keyv";
import { memory } from "@hotset/memory";
import { Keyv, type KeyvStorageAdapter } from "keyv6";
import { test } from "vitest";
import { KEYV_SUITE } from "./vitest.config.ts";

interface Suite {
  keyvTestSuite(register: typeof test, keyv: typeof Keyv, store: () => unknown): void;
  storageTestSuite(register: typeof test, store: () => KeyvStorageAdapter, options: { iterator: boolean }): void;
}

const { keyvTestSuite, storageTestSuite } = (await import(KEYV_SUITE)) as Suite;

let caches = 0;
const store = () =>
  keyvStore(
    createCache({ name: `suite-${(caches += 1)}` })
      .tier(memory())
      .defaults({ ttl: "1m" })
      .build(),
  );

keyvTestSuite(test, Keyv, store);
// A cache does not list its keys.
storageTestSuite(test, (): KeyvStorageAdapter => new Keyv({ store: store() }).store, { iterator: false });
