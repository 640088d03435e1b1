import { MARK_STALE, REMOVE, WRITE } from "./entry-scripts.ts";
import { ACQUIRE, RELEASE, RENEW_LEASE, STORE } from "./lease-scripts.ts";
import type { Script } from "./script.ts";
import { PIN, RENEW, UNCHANGED_SINCE } from "./tag-scripts.ts";

/** Loaded into the server with each new connection. */
export const ALL_SCRIPTS: readonly Script[] = [
  WRITE,
  REMOVE,
  MARK_STALE,
  ACQUIRE,
  RENEW_LEASE,
  STORE,
  RELEASE,
  PIN,
  RENEW,
  UNCHANGED_SINCE,
];
