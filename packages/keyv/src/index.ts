export { keyv, type KeyvBackendOptions } from "./keyv.ts";
export type { KeyvAdapter } from "./adapter.ts";
export { keyvStore, type KeyvStore, type KeyvStoreOptions } from "./keyv-store.ts";
