import { createCache } from "@hotset/core";
import { keyvStore } from "@hotset/keyv";
import { memory } from "@hotset/memory";
import { Keyv as KeyvOfAuthors, type KeyvOptions, type KeyvStoreAdapter } from "../../node_modules/keyv/dist/index.js";

let caches = 0;

export class Keyv extends KeyvOfAuthors {
  constructor(store?: KeyvOptions | KeyvStoreAdapter, options?: KeyvOptions) {
    const isGiven = store !== undefined && ("get" in store || store.store !== undefined);
    if (isGiven) super(store, options);
    else super({ ...store, ...options, store: keyvStore(newCache()) });
  }
}

/** The primary store of cacheable, in place of its own memory. */
export const createKeyv = (): Keyv => new Keyv();

const newCache = () =>
  createCache({ name: `cache-manager-${(caches += 1)}` })
    .tier(memory())
    .defaults({ ttl: "1m" })
    .build();
