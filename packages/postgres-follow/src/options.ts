import type { Duration } from "@hotset/core";
import type { AnyRow } from "./rows.ts";
import type { Tables } from "./targets.ts";
import type { FollowLogger } from "./warnings.ts";

/** Options of {@link follow}. `R` has the type of the rows of each table. */
export interface FollowOptions<R extends object = Readonly<Record<string, AnyRow>>> {
  /** The publication of the tables: `CREATE PUBLICATION hotset FOR TABLE products`. */
  readonly publication: string;
  /** Which entries a changed row ends, for each table. Other tables of the publication are ignored. */
  readonly tables: Tables<R>;
  /**
   * Beginning of the name of the replication slot; a hash of backend, cache and tables, and the timeline of the server,
   * are its end. Processes with the same ones share the work: one of them follows. Lower-case letters, digits and `_`,
   * at most 40.
   *
   * @default `hotset_` and the name of the cache; must be given for a namespace
   */
  readonly slot?: string | undefined;
  /** Prefix of the messages of {@link emitted} that are taken; `false` for none. @default 'hotset' */
  readonly messages?: string | false | undefined;
  /**
   * After this silence the server frees the slot of a follower, and a follower connects again. 1 s to 5 minutes. A
   * frozen process is replaced after it. @default '5s'
   */
  readonly silence?: Duration | undefined;
  /**
   * Each invalidation is made again after so long, for loaders that read a replica: more than its lag. At most an hour.
   * @default 0: not again
   */
  readonly settleAfter?: Duration | undefined;
  /** Gets each warning. @default the first warning of each kind in a minute is one of Node's */
  readonly logger?: FollowLogger | undefined;
}
