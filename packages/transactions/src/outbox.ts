import { warnOnce } from "@hotset/core/adapter";
import { InvalidArgumentError, newId, type Clock } from "@hotset/core/internal";
import type { NotedChange } from "./changes.ts";
import type { Handle } from "./databases.ts";

/** What writes changes in the transaction that makes them. */
export interface Outbox {
  /** @returns called once the changes are acknowledged. */
  write(query: (sql: string) => Promise<unknown>, changes: readonly NotedChange[]): Promise<() => void>;
  close(): Promise<void>;
}

export interface RowsOptions {
  readonly database: Handle;
  readonly table: string;
  readonly everyMs: number;
  /** The cache, of which the table may have several. */
  readonly cache: string;
  readonly clock: Clock;
  /** Resolves to whether the backend has acknowledged them. */
  readonly make: (changes: readonly NotedChange[]) => Promise<boolean>;
}

/** Rows that are made by their own process, or, once they were there twice, by any. */
export class RowOutbox implements Outbox {
  readonly #options: RowsOptions;
  readonly #warn: (what: string, error: unknown) => void = warnOnce("transactions");
  #found: ReadonlySet<string> = new Set();
  #done: string[] = [];
  #deleting: Promise<void> = Promise.resolve();
  #looking: Promise<void> = Promise.resolve();
  #stop: (() => void) | undefined;
  #isClosed = false;

  /** @throws {InvalidArgumentError} for what is not the name of a table. */
  constructor(options: RowsOptions) {
    if (!/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$/.test(options.table))
      throw new InvalidArgumentError("outboxTable must be a name of letters, digits and _, got another one");
    this.#options = options;
    this.#later();
  }

  async write(query: (sql: string) => Promise<unknown>, changes: readonly NotedChange[]): Promise<() => void> {
    const id = newId();
    const { table } = this.#options;
    const content = Buffer.from(JSON.stringify(changes)).toString("base64url");
    await query(`insert into ${table} (id, cache, changes) values ('${id}', '${this.#cache}', '${content}')`);
    return () => this.#delete(id);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stop?.();
    await this.#looking;
    await this.#deleting;
  }

  get #cache(): string {
    return encodeURIComponent(this.#options.cache).replaceAll("'", "%27");
  }

  /** No caller waits for it: a row that stays is made again, and deleted then. */
  #delete(id: string): void {
    if (this.#done.push(id) > 1) return;
    const { database, table } = this.#options;
    this.#deleting = this.#deleting.then(async () => {
      const ids = this.#done;
      this.#done = [];
      try {
        await database.query(`delete from ${table} where id in (${ids.map((each) => `'${each}'`).join(", ")})`);
      } catch (error) {
        this.#warn("rows of the outbox were not deleted, and are made again", error);
      }
    });
  }

  #later(): void {
    if (this.#isClosed) return;
    const { clock, everyMs } = this.#options;
    this.#stop = clock.schedule(() => {
      this.#looking = this.#look().then(
        () => this.#later(),
        (error: unknown) => {
          this.#warn("the outbox can't be read", error);
          this.#later();
        },
      );
    }, everyMs);
  }

  /** The process of a row that is new is probably about to make it. */
  async #look(): Promise<void> {
    const { database, table, make } = this.#options;
    const rows = await database.query(
      `select id, changes from ${table} where cache = '${this.#cache}' order by id limit ${MOST_ROWS}`,
    );
    const before = this.#found;
    this.#found = new Set(rows.map(({ id }) => String(id)));
    await Promise.all(
      rows.map(async ({ id, changes }) => {
        if (!before.has(String(id))) return;
        const made = make(read(String(changes))).catch((error: unknown) => {
          // One that the cache does not take would come again without an end.
          if (error instanceof InvalidArgumentError) return make(EVERYTHING);
          throw error;
        });
        if (await made) this.#delete(String(id));
      }),
    );
  }
}

const MOST_ROWS = 500;

/** A row of another release may hold what this one doesn't know. */
function read(content: string): readonly NotedChange[] {
  try {
    const changes = JSON.parse(Buffer.from(content, "base64url").toString()) as readonly NotedChange[];
    if (Array.isArray(changes) && changes.every(isKnown)) return changes;
  } catch {
    // All of the cache.
  }
  return EVERYTHING;
}

const isKnown = ({ path, keys = [], tags = [], ...others }: NotedChange): boolean =>
  [path, keys, tags].every((each) => Array.isArray(each)) && Object.keys(others).every((name) => name === "clear");

const EVERYTHING: readonly NotedChange[] = [{ path: [], clear: true }];

/** A message in the log of PostgreSQL, which a process with `follow` reads. */
export const followOutbox: Outbox = {
  async write(query, changes) {
    const below = changes.find(({ path, keys }) => path.length > 0 && keys !== undefined);
    if (below !== undefined)
      throw new InvalidArgumentError(
        'outbox: "follow" has no keys of namespaces; give their entries tags, or use rows: transactions(cache, { outbox: db })',
      );
    const content = JSON.stringify({
      tags: changes.flatMap(({ tags = [] }) => tags),
      keys: changes.flatMap(({ keys = [] }) => keys),
      ...(changes.some(({ clear }) => clear) && { clear: true }),
    });
    await query(`select pg_logical_emit_message(true, 'hotset', ${literal(content)})::text`);
    return () => undefined;
  },
  close: () => Promise.resolve(),
};

/** ASCII, so that the encoding of the database does not matter; backslashes count in `E''` alone. */
function literal(text: string): string {
  const ascii = text.replaceAll(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return `E'${ascii.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}
