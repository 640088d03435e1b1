import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { postgres } from "@hotset/postgres";
import { startOwnPostgres, startOwnRedis } from "@hotset/test-servers";
import { type Backend, json, redis, sqlite } from "hotset";

/** A store under measurement. It is opened once, and everything that it started ends with `stop`. */
export interface Store {
  readonly name: string;
  /** A backend over it, as another process would open it. */
  open(): Backend;
  /** Bytes that it takes for what is stored, once nothing is under way. */
  bytes(): Promise<number>;
  stop(): Promise<void>;
}

/** In the order of the table: others are compared with the first one. All write JSON. */
export const STORES: readonly (() => Promise<Store>)[] = [redisStore, sqliteStore, postgresStore];

async function redisStore(): Promise<Store> {
  const server = await startOwnRedis();
  return {
    name: "redis",
    open: () => redis(server.url).valueFormat(json()).build(),
    bytes: async () => Number((await server.info("memory"))["used_memory"]),
    stop: () => server.stop(),
  };
}

async function sqliteStore(): Promise<Store> {
  const folder = mkdtempSync(join(tmpdir(), "hotset-bench-"));
  const file = join(folder, "cache.db");
  return {
    name: "sqlite",
    open: () => sqlite(file, { format: json() }),
    // Closed before, so that the log of SQLite is in the file.
    bytes: async () => statSync(file, { throwIfNoEntry: false })?.size ?? 0,
    stop: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function postgresStore(): Promise<Store> {
  const server = await startOwnPostgres();
  return {
    name: "postgres",
    open: () => postgres({ url: server.url, format: json() }),
    bytes: async () => {
      const text = `select sum(pg_total_relation_size(c.oid))::int as bytes
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'hotset' and c.relkind = 'r'`;
      return Number((await server.query(text))[0]?.["bytes"] ?? 0);
    },
    stop: () => server.stop(),
  };
}
