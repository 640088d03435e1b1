import {
  emitted,
  follow,
  type AnyRow,
  type Followed,
  type Follower,
  type FollowOptions,
} from "@hotset/postgres-follow";
import { startOwnPostgres, type OwnPostgres } from "@hotset/test-servers";
import pg from "pg";
import { onTestFinished } from "vitest";
import { Recorder } from "./recorder.ts";

type Rows = Readonly<Record<string, AnyRow>>;

export const byId = ({ id }: AnyRow) => ({ tags: [`product ${String(id)}`] });
export const byShelf = ({ id, shelf }: AnyRow) => ({ tags: [`product ${String(id)}`, `shelf ${String(shelf)}`] });

export const TABLE = "create table products (id int primary key, shelf text not null)";
export const FULL = "alter table products replica identity full";
export const PUBLISH = "create publication hotset for table products";

/** A server with room for the followers of a file. */
export const startShopServer = (): Promise<OwnPostgres> =>
  startOwnPostgres({
    config: [
      "wal_level = logical",
      "max_slot_wal_keep_size = 256MB",
      "max_wal_senders = 60",
      "max_replication_slots = 60",
      "max_connections = 200",
    ],
  });

let databases = 0;

/** A database of its own, and a pool for it. */
export async function database(
  server: OwnPostgres,
  setup: string,
  options = "",
): Promise<{ readonly pool: pg.Pool; readonly name: string }> {
  const name = `shop${(databases += 1)}`;
  await server.query(`create database ${name} ${options}`);
  const pool = new pg.Pool({ connectionString: server.url.replace(/postgres$/, name), max: 3 });
  pool.on("error", () => undefined);
  onTestFinished(() => pool.end());
  await pool.query(setup);
  return { pool, name };
}

export interface Shop {
  readonly pool: pg.Pool;
  readonly cache: Recorder;
  readonly warnings: readonly string[];
  readonly follower: Follower;
}

/** A follower of `products`. Without another `silence` a busy machine meets no deadline. */
export async function following(
  pool: pg.Pool,
  options: Partial<FollowOptions<Rows>> & { readonly cache?: Followed } = {},
): Promise<Shop> {
  const cache = new Recorder();
  const warnings: string[] = [];
  const { cache: followed = cache, ...given } = options;
  const follower = await follow<Rows>(pool, followed, {
    publication: "hotset",
    slot: `s_${String(pool.options.connectionString).split("/").at(-1)}`,
    silence: "60s",
    tables: { products: byShelf },
    logger: { warn: (text) => warnings.push(text) },
    ...given,
  });
  cache.isDone = () => follower.stats().lagMs === 0;
  onTestFinished(() => follower.close());
  return { pool, cache, warnings, follower };
}

let marks = 0;

/** The tags and keys that the statements end. */
export async function ended({ pool, cache }: Shop, ...statements: readonly string[]): Promise<readonly string[]> {
  for (const statement of statements) await pool.query(statement);
  const mark = `mark ${(marks += 1)}`;
  await pool.query(emitted({ tags: [mark] }));
  return cache.until(mark);
}
