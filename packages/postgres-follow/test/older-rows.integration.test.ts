import { emitted, type AnyRow } from "@hotset/postgres-follow";
import { afterAll, describe, expect, it } from "vitest";
import { byId, byShelf, database, ended, following, PUBLISH, startShopServer, TABLE, type Shop } from "./own-shop.ts";

const server = await startShopServer();
afterAll(() => server.stop());

const PARTITIONED = `create table products (id int, shelf text not null, primary key (id)) partition by range (id);
  create table products_1 partition of products for values from (0) to (100);
  alter table products replica identity full; alter table products_1 replica identity full;
  create publication hotset for table products with (publish_via_partition_root = true)`;

const shop = async (setup: string, rule: (row: AnyRow) => { readonly tags: string[] } = byShelf): Promise<Shop> =>
  following((await database(server, setup)).pool, { tables: { products: rule } });

describe("C640 an update without its older row", () => {
  it("clears everything where the rule reads beyond the identity, and says the statement", async () => {
    // Empty at the start, so no row shows what the rule reads.
    const place = await shop(`${TABLE}; ${PUBLISH}`);
    expect(place.warnings.at(-1)).toBe(
      "hotset: follow: everything is cleared, as changes may have been missed: the slot " +
        `${place.follower.stats().slot} does not exist`,
    );
    expect(place.warnings[0]).toBe(
      'hotset: follow: the rule of "public"."products" may read the column "shelf", which the log does not have of an older row: then a change of it clears everything; run: ALTER TABLE products REPLICA IDENTITY FULL;',
    );
    expect(await ended(place, "insert into products values (1, 'a')")).toEqual(["product 1", "shelf a"]);
    const before = place.cache.clears;
    await ended(place, "update products set shelf = 'b'");
    expect(place.cache.clears).toBeGreaterThan(before);
    expect(place.warnings.at(-1)).toBe(
      'hotset: follow: the rule of public.products failed, so everything is cleared: MissingColumnError: the log does not have the column "shelf" of the older version of an updated row; run: ALTER TABLE products REPLICA IDENTITY FULL;',
    );
  });

  it("is known to a rule that reads nothing else", async () => {
    const place = await shop(`${TABLE}; ${PUBLISH}`, byId);
    await ended(place, "insert into products values (1, 'a')");
    const before = place.cache.clears;
    expect(await ended(place, "update products set shelf = 'b'")).toEqual(["product 1"]);
    expect(place.cache.clears).toBe(before);
  });

  it("clears where a partition has another identity than its table", async () => {
    const place = await shop(
      `${PARTITIONED}; create table products_2 partition of products for values from (100) to (200)`,
    );
    await ended(place, "insert into products values (100, 'a')");
    const before = place.cache.clears;
    await ended(place, "update products set shelf = 'b'");
    expect(place.cache.clears).toBeGreaterThan(before);
    expect(place.warnings.at(-1)).toContain("run: ALTER TABLE products_2 REPLICA IDENTITY FULL;");
  });
});

describe("C640 what the log has of a row", () => {
  it("C641: messages are read in the encoding of the database", async () => {
    const { pool } = await database(server, `${TABLE}; ${PUBLISH}`, "encoding 'LATIN1' template template0 locale 'C'");
    const place = await following(pool);
    const sent = `select pg_logical_emit_message(true, 'hotset', '{"tags": ["caf' || chr(233) || '"]}')`;
    expect(await ended(place, sent)).toEqual(["café"]);
    await pool.query(emitted({ tags: ["naïve"] }));
    expect(await ended(place)).toEqual(["naïve"]);
    expect(place.cache.clears).toBe(1);
  });

  it("rows are parsed as the pool does, and one that its parsers refuse clears everything", async () => {
    const { pool } = await database(server, "create table products (id int8 primary key, shelf text not null)");
    await pool.query(PUBLISH);
    const types = {
      getTypeParser: (oid: number) => (text: string) => {
        if (text === "broken") throw new Error("a parser of the program");
        return oid === 20 ? BigInt(text) * 10n : text;
      },
    };
    Object.assign(pool.options, { types });
    const place = await following(pool, { tables: { products: byId } });
    expect(await ended(place, "insert into products values (1234567890123456789, 'a')")).toEqual([
      "product 12345678901234567890",
    ]);
    const before = place.cache.clears;
    await ended(place, "insert into products values (2, 'broken')");
    expect(place.cache.clears).toBeGreaterThan(before);
    expect(place.warnings.at(-1)).toBe("hotset: follow: a row could not be parsed, so everything is cleared: Error");
    expect(place.follower.stats()).toMatchObject({ role: "following", error: undefined });
  });
});
