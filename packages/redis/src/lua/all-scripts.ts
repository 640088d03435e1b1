import { MARK_STALE, REMOVE, TOUCH, WRITE } from "./entry-scripts.ts";
import { ACQUIRE, RELEASE, RENEW_LEASE, STORE } from "./lease-scripts.ts";
import type { Script } from "./script.ts";
import {
  ACQUIRE_STRING,
  MARK_STRING_STALE,
  RELEASE_STRING,
  REMOVE_STRING,
  RENEW_STRING,
  SERVER_TIME,
  STORE_STRING,
  TOUCH_STRING,
  WRITE_STRING,
} from "./string-scripts.ts";
import { PIN, RENEW, UNCHANGED_SINCE } from "./tag-scripts.ts";

/** Loaded into the server with each new connection. */
export const ALL_SCRIPTS: readonly Script[] = [
  WRITE,
  REMOVE,
  MARK_STALE,
  TOUCH,
  ACQUIRE,
  RENEW_LEASE,
  STORE,
  RELEASE,
  PIN,
  RENEW,
  UNCHANGED_SINCE,
  WRITE_STRING,
  REMOVE_STRING,
  MARK_STRING_STALE,
  TOUCH_STRING,
  ACQUIRE_STRING,
  RENEW_STRING,
  STORE_STRING,
  RELEASE_STRING,
  SERVER_TIME,
];
