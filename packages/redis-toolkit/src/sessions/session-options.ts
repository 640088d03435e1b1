import type { Duration } from "@hotset/core";

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
