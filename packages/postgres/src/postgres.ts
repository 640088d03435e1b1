import {
  defineBackend,
  json,
  passthrough,
  systemClock,
  type Backend,
  type Clock,
  type Coherence,
  type Compressor,
  type DeleteStatus,
  type Format,
  type Leases,
  type StoredEntry,
} from "@hotset/core";
import { inNoCall, newId, refuseSurplus } from "@hotset/core/internal";
import { Database } from "./database.ts";
import { entryOf, fieldsOf, LongKeys, orRemoved } from "./entries.ts";
import { leasesOf } from "./leases.ts";
import { Listening } from "./listening.ts";
import type { PostgresOptions } from "./options.ts";
import { openPool } from "./own-pool.ts";
import { pollingOf } from "./polling.ts";
import { resolve, type Settings } from "./settings.ts";
import { statementsOf, type Statement, type Statements } from "./statements.ts";
import { tagVersionsOf } from "./tag-versions.ts";

/**
 * A backend over PostgreSQL 13 or later: entries, leases and tag versions are rows, each step is one statement, and
 * changes are reported by LISTEN/NOTIFY. Opens nothing before the first call.
 *
 * @throws {ConfigurationError} for an unknown option.
 * @throws {InvalidArgumentError} for one out of its range.
 */
export function postgres(options: PostgresOptions): Backend;
export function postgres(options: PostgresOptions, ...surplus: readonly unknown[]): Backend {
  refuseSurplus("postgres(options)", surplus, "give one object of options");
  return defineBackend(new PostgresBackend(resolve(options), systemClock));
}

/** Ended rows are removed after so many writes of this process, up to twice as many. */
const RECLAIM_EACH = 100;

class PostgresBackend implements Backend {
  readonly label: string;
  readonly format: Format;
  readonly compressor: Compressor;
  readonly alsoReads: readonly (Format | Compressor)[];
  readonly deadlineMs: number;
  readonly boundsCalls = true;
  readonly maxEntryBytes: number;
  readonly maxDecodedBytes: number;
  readonly sealScope: string;
  readonly leases: Leases;
  readonly tagVersions: NonNullable<Backend["tagVersions"]>;
  readonly coherence: Coherence;
  readonly batch = { read: (keys: readonly string[]) => this.#readAll(keys) };
  readonly #database: Database;
  readonly #statements: Statements;
  readonly #keys = new LongKeys();
  readonly #listening: Listening;
  readonly #polling: ReturnType<typeof pollingOf>;
  readonly #settings: Settings;
  #way: Promise<"listen" | "poll"> | undefined;
  #writes = 0;
  #closed: Promise<void> | undefined;

  constructor(settings: Settings, clock: Clock) {
    const { label, schema, deadlineMs, maxStalenessMs } = settings;
    this.#settings = settings;
    this.label = label;
    this.format = settings.format ?? json();
    this.compressor = settings.compressor ?? passthrough();
    this.alsoReads = settings.alsoReads;
    this.deadlineMs = deadlineMs;
    this.maxEntryBytes = settings.maxEntryBytes;
    this.maxDecodedBytes = settings.maxDecodedBytes;
    this.sealScope = schema;
    this.#database = new Database({ ...settings, clock }, () => openPool(settings));
    this.#statements = statementsOf(schema);
    this.#listening = new Listening(this.#database, {
      channel: schema,
      maxStalenessMs,
      clock,
      longKeys: this.#keys,
      deadlineMs,
    });
    this.#polling = pollingOf(this.#database, this.#statements, this.#keys, clock, maxStalenessMs);
    this.leases = leasesOf(this.#database, this.#statements, this.#keys, {
      confirm: (key) => this.#confirm(key),
      stored: () => this.#reclaim(),
    });
    this.tagVersions = tagVersionsOf(this.#database, this.#statements);
    this.coherence = {
      maxStalenessMs,
      attach: async (listener) =>
        ((await this.#wayOf()) === "listen" ? this.#listening : this.#polling).coherence.attach(listener),
    };
  }

  async connect(): Promise<void> {
    await this.#database.reach();
  }

  read(key: string): Promise<StoredEntry | undefined> {
    this.#polling.wake();
    return this.#database.callAll(this.#statements.read, [[this.#keys.of(key).hash]]).then(([row]) => entryOf(row!));
  }

  async #readAll(keys: readonly string[]): Promise<readonly (StoredEntry | undefined)[]> {
    this.#polling.wake();
    const rows = keys.map((key) => [this.#keys.of(key).hash]);
    const parts = Array.from({ length: Math.ceil(rows.length / 100) }, (_, i) =>
      this.#database.callAll(this.#statements.read, rows.slice(100 * i, 100 * i + 100)),
    );
    return (await Promise.all(parts)).flat().map(entryOf);
  }

  async write(key: string, entry: StoredEntry): Promise<void> {
    await orRemoved(this.#change(this.#statements.write, key, fieldsOf(entry)), () => this.remove(key));
  }

  async remove(key: string): Promise<DeleteStatus> {
    return (await this.#change(this.#statements.remove, key)) ? "deleted" : "missing";
  }

  async markStale(key: string): Promise<"stale" | "missing"> {
    return (await this.#change(this.#statements.markStale, key, [`stale-${newId()}`])) ? "stale" : "missing";
  }

  close(): Promise<void> {
    return (this.#closed ??= (async () => {
      this.#polling.stop();
      await this.#listening.close();
      await this.#database.close(this.#settings.pool === undefined);
    })());
  }

  async #change(statement: Statement, key: string, values: readonly unknown[] = []): Promise<boolean> {
    this.#polling.wake();
    const { name, hash } = this.#keys.of(key);
    const [answer] = await this.#database.call(statement, [name, ...values], hash);
    this.#reclaim();
    return answer as boolean;
  }

  #reclaim(): void {
    this.#writes += 1;
    if (this.#writes % RECLAIM_EACH !== 0) return;
    // In the background: a failure is one of the next calls, too.
    inNoCall(() => this.#database.call(this.#statements.reclaim, [2 * RECLAIM_EACH])).catch(() => undefined);
  }

  async #confirm(key: string): Promise<string> {
    const { hash } = this.#keys.of(key);
    const ask = async (): Promise<string> =>
      ((await this.#database.call(this.#statements.version, [hash]))[0] as string | null | undefined) ?? "";
    if ((await this.#wayOf()) === "listen" && this.#listening.hasListeners) return this.#listening.confirm(key, ask);
    await this.#polling.catchUp();
    return ask();
  }

  #wayOf(): Promise<"listen" | "poll"> {
    return (this.#way ??= inNoCall(() => this.#findWay()).catch((error: unknown) => {
      this.#way = undefined;
      throw error;
    }));
  }

  async #findWay(): Promise<"listen" | "poll"> {
    const { changes } = this.#settings;
    if (changes !== "auto") return changes;
    const { isPooled } = await this.#database.reach();
    if (isPooled)
      process.emitWarning(
        `${this.label}: a pooler stands between this process and PostgreSQL, where LISTEN may not come through; ` +
          'changes are polled. Give a pool or a URL without it, or set changes: "poll" or "listen"',
        { type: "HotsetWarning", code: "HOTSET_POSTGRES_POLLING" },
      );
    return isPooled ? "poll" : "listen";
  }
}
