import { follow, type Follower } from "@hotset/postgres-follow";
import { startOwnPostgres, type OwnPostgres } from "@hotset/test-servers";
import type { Cache, Namespace } from "hotset";
import pg from "pg";
import type { Price } from "./catalogue.ts";

/** Prices in PostgreSQL, which other programs change: the cache follows its log. */
export class Database {
  readonly #prices: Namespace<Price>;
  readonly #pool: pg.Pool;
  #follower: Follower | undefined;

  private constructor(url: string, cache: Cache) {
    this.#prices = cache.namespace("database");
    this.#pool = new pg.Pool({ connectionString: url, max: 4 });
  }

  static async open(url: string, cache: Cache): Promise<Database> {
    const database = new Database(url, cache);
    database.#follower = await follow(database.#pool, database.#prices, {
      publication: "demo",
      slot: "demo",
      tables: { prices: ({ product }: Price) => ({ keys: [product] }) },
      // The first start clears, and says so.
      logger: { warn: () => undefined },
    });
    return database;
  }

  price(product: string): Promise<Price | null> {
    return this.#prices.getOrSet(product, async () => {
      const { rows } = await this.#pool.query<Price>("select product, cents, version from prices where product = $1", [
        product,
      ]);
      return rows[0]!;
    });
  }

  async close(): Promise<void> {
    await this.#follower?.close();
    await this.#pool.end();
  }
}

/** The product whose price is in PostgreSQL. */
export const IN_DATABASE = "sql-kettle";

/** A PostgreSQL with one price; `undefined` where none can be started. */
export async function startDatabase(): Promise<OwnPostgres | undefined> {
  const config = ["wal_level = logical", "max_slot_wal_keep_size = 1GB"];
  const server = await startOwnPostgres({ config }).catch(() => undefined);
  await server?.query(
    `create table prices (product text primary key, cents int, version int);
      insert into prices values ('${IN_DATABASE}', 100, 1); create publication demo for table prices`,
  );
  return server;
}
