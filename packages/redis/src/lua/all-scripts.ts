import { MARK_STALE, REMOVE, TOUCH, WRITE } from "./entry-scripts.ts";
import { HASH_LEASES, STRING_LEASES } from "./lease-scripts.ts";
import type { Script } from "./script.ts";
import { MARK_STRING_STALE, REMOVE_STRING, SERVER_TIME, TOUCH_STRING, WRITE_STRING } from "./string-scripts.ts";
import { PIN, RENEW, UNCHANGED_SINCE } from "./tag-scripts.ts";

const OF_TAGS: readonly Script[] = [PIN, RENEW, UNCHANGED_SINCE];

/** The scripts of a backend, by what its entries are: loaded into the server with each new connection. */
export const SCRIPTS: Readonly<Record<"hash" | "string", readonly Script[]>> = {
  hash: [WRITE, REMOVE, MARK_STALE, TOUCH, ...Object.values<Script>({ ...HASH_LEASES }), ...OF_TAGS],
  string: [
    WRITE_STRING,
    REMOVE_STRING,
    MARK_STRING_STALE,
    TOUCH_STRING,
    SERVER_TIME,
    ...Object.values<Script>({ ...STRING_LEASES }),
    ...OF_TAGS,
  ],
};
