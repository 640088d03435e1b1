import type { Duration } from "@hotset/core";
import { anything, duration, text, type Option } from "@hotset/core/internal";

/** Options of {@link transactions}. */
export interface TransactionsOptions {
  /**
   * How changes survive a process that dies after its commit. A database, as `withTransaction` takes it: a row of
   * `outboxTable` in the same transaction, which is deleted once the changes are acknowledged, and made by any process
   * that finds it; this process looks for such rows. `"follow"`: a message in the log of PostgreSQL, for caches with
   * `follow` of `@hotset/postgres-follow`; keys of namespaces can't be in it. @default none
   */
  readonly outbox?: object | "follow" | undefined;
  /** Name of the table of the outbox, with its schema if it needs one. @default 'hotset_outbox' */
  readonly outboxTable?: string | undefined;
  /** How often rows of processes that died are looked for. @default '1s' */
  readonly outboxEvery?: Duration | undefined;
  /**
   * After this time no process obeys a process that died in a transaction. Renewed after a quarter of it. At least 1 s,
   * at most 5 minutes. @default '10s'
   */
  readonly holdFor?: Duration | undefined;
}

/** Options of one transaction. */
export interface TransactionOptions {
  /** For the database: what its own `transaction` takes; of `pg` and Kysely, `isolationLevel`, and of `pg` `readOnly`. */
  readonly transaction?: object | undefined;
  /** How often a transaction that lost to another one (a serialization failure, a deadlock) begins again. @default 0 */
  readonly retries?: number | undefined;
  /** Whether the changes go through the outbox too. @default whether there is one */
  readonly outbox?: boolean | undefined;
}

/** A test compares the README with it. */
export const TRANSACTIONS_OPTIONS: {
  readonly outbox: typeof anything;
  readonly outboxTable: Option<string>;
  readonly outboxEvery: Option<number>;
  readonly holdFor: Option<number>;
} = {
  outbox: anything,
  outboxTable: text("hotset_outbox"),
  outboxEvery: duration(1_000, 10, 3_600_000),
  holdFor: duration(10_000, 1_000, 300_000),
};
