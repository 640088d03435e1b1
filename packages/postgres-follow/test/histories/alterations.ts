/** What a migration or an operator does to a table that is followed, while its rows are changed and read. */
import { setTimeout as sleep } from "node:timers/promises";
import type { OwnPostgres, Random } from "@hotset/test-servers";
import pg from "pg";

export const ALTERATIONS = [
  "a column added and dropped",
  "a type changed",
  "a partition replaced",
  "a table replaced",
  "kinds of changes left out",
  "a table left out",
  "an identity set back",
] as const;
export type Alteration = (typeof ALTERATIONS)[number];

/** Of `items`: rows of two partitions, on shelves that have a version of their own. */
export const HALF = 10;
export const SHELVES = 4;

/** The publication says the changes of partitions under the name of their table. */
export const SCHEMA = `
  create table items (id int not null, shelf int not null, version int not null, primary key (id)) partition by range (id);
  create table items_0 partition of items for values from (0) to (${HALF});
  create table items_1 partition of items for values from (${HALF}) to (${2 * HALF});
  alter table items replica identity full; alter table items_0 replica identity full;
  alter table items_1 replica identity full;
  create table shelves (id int primary key, version int not null);
  create table notes (id int primary key, version int not null);
  insert into items select id, id % ${SHELVES}, 0 from generate_series(0, ${2 * HALF - 1}) as id;
  insert into shelves select id, 0 from generate_series(0, ${SHELVES - 1}) as id;
  insert into notes select id, 0 from generate_series(0, ${2 * HALF - 1}) as id;
  create publication history for table items with (publish_via_partition_root = true)`;

const PUBLISHED = "insert, update, delete, truncate";

/** An entry and the version that a statement without rows in the log gave it. */
export type Changed = readonly [name: string, version: number];

/** Carries alterations out, one after another. */
export class Alterations {
  readonly #postgres: OwnPostgres;
  readonly #changed: (changed: readonly Changed[]) => void;
  #count = 0;

  /** @param changed receives what an alteration changed without a row in the log, right after its commit. */
  constructor(postgres: OwnPostgres, changed: (changed: readonly Changed[]) => void) {
    this.#postgres = postgres;
    this.#changed = changed;
  }

  async make(alteration: Alteration, random: Random): Promise<void> {
    this.#count += 1;
    // Shorter and longer than the time between two looks at the conditions.
    const lastsMs = random.one([50, 500, 1_500, 3_000]);
    switch (alteration) {
      case "a column added and dropped":
        await this.#run(`alter table items add column extra_${this.#count} int default 7`);
        await sleep(lastsMs);
        return this.#run(`alter table items drop column extra_${this.#count}`);
      case "a type changed":
        return this.#inOne(
          `alter table items alter column version type ${random.one(["int", "bigint"])} using version + 1`,
        );
      case "a partition replaced":
        await this.#inOne(this.#partitionReplaced());
        // The new one has the identity that PostgreSQL gives it, and rows on the shelf move.
        await sleep(lastsMs);
        return this.#run(`alter table items_1 replica identity full; drop table items_former_${this.#count}`);
      case "a table replaced":
        await this.#inOne(this.#tableReplaced());
        return this.#run(`drop table items_former_${this.#count}`);
      case "kinds of changes left out":
        await this.#run("alter publication history set (publish = 'insert')");
        await sleep(lastsMs);
        return this.#run(`alter publication history set (publish = '${PUBLISHED}')`);
      case "a table left out":
        await this.#run("alter publication history drop table items");
        await sleep(lastsMs);
        return this.#run("alter publication history add table items");
      case "an identity set back":
        await this.#run("alter table items_0 replica identity default");
        await sleep(lastsMs);
        return this.#run("alter table items_0 replica identity full");
    }
  }

  #partitionReplaced(): string {
    const former = `items_former_${this.#count}`;
    return `alter table items detach partition items_1; alter table items_1 rename to ${former};
      create table items_1 (like ${former} including all);
      insert into items_1 select * from ${former}; update items_1 set version = version + 1;
      alter table items attach partition items_1 for values from (${HALF}) to (${2 * HALF})`;
  }

  #tableReplaced(): string {
    const former = `items_former_${this.#count}`;
    const part = (index: number): string => `
      alter table items_${index} rename to ${former}_${index};
      create table items_${index} partition of items for values from (${index * HALF}) to (${(index + 1) * HALF});
      alter table items_${index} replica identity full`;
    return `alter table items rename to ${former};
      create table items (like ${former} including all) partition by range (id);
      alter table items replica identity full; ${part(0)}; ${part(1)};
      insert into items select * from ${former}; update items set version = version + 1;
      alter publication history add table items; alter publication history drop table ${former}`;
  }

  async #run(statements: string): Promise<void> {
    await this.#withClient((client) => client.query(statements));
  }

  /** In one transaction, before which no other change of the table is under way. */
  async #inOne(statements: string): Promise<void> {
    await this.#withClient(async (client) => {
      const versions = async (): Promise<ReadonlyMap<number, number>> => {
        const { rows } = await client.query<{ id: number; version: string | number }>("select id, version from items");
        return new Map(rows.map(({ id, version }) => [id, Number(version)]));
      };
      await client.query("begin; lock table items in access exclusive mode");
      const before = await versions();
      await client.query(statements);
      const after = await versions();
      await client.query("commit");
      this.#changed(
        [...after]
          .filter(([id, version]) => version !== before.get(id))
          .map(([id, version]) => [`items:${id}`, version]),
      );
    });
  }

  async #withClient(work: (client: pg.Client) => Promise<unknown>): Promise<void> {
    const client = new pg.Client({ connectionString: this.#postgres.url });
    client.on("error", () => undefined);
    try {
      await client.connect();
      await work(client);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}
