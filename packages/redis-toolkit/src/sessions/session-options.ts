import type { Duration } from "@hotset/core";

/** Options of {@link sessions}. */
export interface SessionOptions {
  /** How long a session lives without activity: at least 1 s, at most `absolute`. @default '24h' */
  readonly idle?: Duration | undefined;
  /** How long it lives at most, with any activity; at most ten years. @default '30d' */
  readonly absolute?: Duration | undefined;
  /**
   * Ids are stored as HMAC-SHA-256 with it: text or a Buffer of at least 16 characters. A new one ends all sessions.
   *
   * @default none: SHA-256
   */
  readonly secret?: string | Buffer | undefined;
  /**
   * `false` keeps ids in the names of the keys, so a reader of the keys can take over sessions: for the sessions of
   * connect-redis, with its prefix `"sess:"`. Not with `secret`. @default true
   */
  readonly hashIds?: boolean | undefined;
  /** Begins the keys: 1 to 128 letters, digits and `_ . : / -`. @default 'session:' */
  readonly prefix?: string | undefined;
  /**
   * Refuses to create sessions, with `ConfigurationError`, in a Redis with a limit of memory and another policy than
   * `noeviction`. @default false, which reports it once
   */
  readonly requireNoEviction?: boolean | undefined;
}
