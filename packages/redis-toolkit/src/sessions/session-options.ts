import { InvalidArgumentError, type Duration } from "@hotset/core";
import { durationMs } from "../module/module.ts";
import { Places } from "./session-places.ts";
import type { RecordSettings } from "./session-records.ts";

/** Options of {@link sessions}. */
export interface SessionOptions {
  /** How long a session lives without activity. @default '24h' */
  readonly idle?: Duration | undefined;
  /** How long it lives at most, with any activity; at most ten years. @default '30d' */
  readonly absolute?: Duration | undefined;
  /**
   * Ids are hashed with it (HMAC-SHA-256); at least 16 characters. A new one ends all sessions.
   *
   * @default none: SHA-256
   */
  readonly secret?: string | Buffer | undefined;
  /**
   * `false` keeps ids in the names of the keys, so a reader of the keys can take over sessions: for the sessions of
   * connect-redis, with its prefix `"sess:"`. @default true
   */
  readonly hashIds?: boolean | undefined;
  /** Letters, digits and `_ . : / -`. @default 'session:' */
  readonly prefix?: string | undefined;
  /** Refuses to store sessions in a Redis that may evict them. @default false, and one warning */
  readonly requireNoEviction?: boolean | undefined;
}

export const SESSION_OPTIONS: readonly string[] = [
  "idle",
  "absolute",
  "secret",
  "hashIds",
  "prefix",
  "requireNoEviction",
];

const MIN_MS = 1_000;
const TEN_YEARS_MS = 3_650 * 86_400_000;
const MIN_SECRET = 16;

/** @param idleOption the name of `idle` in errors. */
export function resolveSessionOptions(options: SessionOptions, idleOption = "idle"): RecordSettings {
  const { idle = "24h", absolute = "30d", secret, hashIds = true, prefix = "session:", requireNoEviction } = options;
  const absoluteMs = durationMs("absolute", absolute, { min: MIN_MS, max: TEN_YEARS_MS });
  const idleMs = durationMs(idleOption, idle, { min: MIN_MS });
  if (idleMs > absoluteMs)
    throw new InvalidArgumentError(
      `${idleOption} must not be longer than absolute, got ${idleMs} and ${absoluteMs} ms`,
    );
  if (secret !== undefined && !((typeof secret === "string" || Buffer.isBuffer(secret)) && secret.length >= MIN_SECRET))
    throw new InvalidArgumentError(`secret must be text or a Buffer of at least ${MIN_SECRET} characters or bytes`);
  for (const [name, flag] of Object.entries({ hashIds, requireNoEviction }))
    if (flag !== undefined && typeof flag !== "boolean")
      throw new InvalidArgumentError(`${name} must be true or false, got a value of type ${typeof flag}`);
  if (!hashIds && secret !== undefined)
    throw new InvalidArgumentError("secret has no use with hashIds: false; leave one of them out");
  if (typeof prefix !== "string" || !/^[A-Za-z0-9_.:/-]{1,128}$/.test(prefix))
    throw new InvalidArgumentError(
      "prefix must be 1 to 128 of letters, digits and _ . : / -; for sessions of one tenant give redis.tenant(id)",
    );
  const places = new Places({ prefix, hashIds, secret });
  return { places, idleMs, absoluteMs, requireNoEviction: requireNoEviction ?? false };
}

/** Text of any form: a client may send anything as its id. */
export function checkId(id: string): string {
  if (typeof id === "string") return id;
  throw new InvalidArgumentError(`the id of a session must be text, got a value of type ${typeof id}`);
}
