import { MARK_STALE, REMOVE, TOUCH, WRITE } from "./entry-scripts.ts";
import { HASH_LEASES, STRING_LEASES } from "./lease-scripts.ts";
import type { Script } from "./script.ts";
import { MARK_STRING_STALE, REMOVE_STRING, SERVER_TIME, TOUCH_STRING, WRITE_STRING } from "./string-scripts.ts";
import { PIN, RENEW, UNCHANGED_SINCE } from "./tag-scripts.ts";

/** Loaded into the server with each new connection. */
export const ALL_SCRIPTS: readonly Script[] = [
  WRITE,
  REMOVE,
  MARK_STALE,
  TOUCH,
  ...Object.values<Script>({ ...HASH_LEASES }),
  PIN,
  RENEW,
  UNCHANGED_SINCE,
  WRITE_STRING,
  REMOVE_STRING,
  MARK_STRING_STALE,
  TOUCH_STRING,
  ...Object.values<Script>({ ...STRING_LEASES }),
  SERVER_TIME,
];
