import { MARK_STALE, REMOVE, TOUCH, WRITE } from "./entry-scripts.ts";
import { HASH_LEASES, STRING_LEASES, type LeaseScripts } from "./lease-scripts.ts";
import type { Script } from "./script.ts";
import { MARK_STRING_STALE, REMOVE_STRING, SERVER_TIME, TOUCH_STRING, WRITE_STRING } from "./string-scripts.ts";
import { PIN, RENEW, UNCHANGED_SINCE } from "./tag-scripts.ts";

/** The steps over an entry, in one layout. */
export interface EntryScripts extends LeaseScripts {
  readonly write: Script;
  readonly remove: Script;
  readonly markStale: Script;
  readonly touch: Script;
}

export const HASH_SCRIPTS: EntryScripts = {
  write: WRITE,
  remove: REMOVE,
  markStale: MARK_STALE,
  touch: TOUCH,
  ...HASH_LEASES,
};

export const STRING_SCRIPTS: EntryScripts = {
  write: WRITE_STRING,
  remove: REMOVE_STRING,
  markStale: MARK_STRING_STALE,
  touch: TOUCH_STRING,
  ...STRING_LEASES,
};

const OF_TAGS: readonly Script[] = [PIN, RENEW, UNCHANGED_SINCE];

/** The scripts of a backend, by what its entries are: loaded into the server with each new connection. */
export const SCRIPTS: Readonly<Record<"hash" | "string", readonly Script[]>> = {
  hash: [...Object.values<Script>({ ...HASH_SCRIPTS }), ...OF_TAGS],
  string: [...Object.values<Script>({ ...STRING_SCRIPTS }), SERVER_TIME, ...OF_TAGS],
};
