import { consume, type AnyRow, type ConsumedEvent, type ConsumeOptions } from "@hotset/postgres-follow";
import { describe, expect, it, onTestFinished } from "vitest";
import { Recorder } from "./recorder.ts";

type Rows = Readonly<Record<string, AnyRow>>;

const tables = {
  products: ({ id, shelf }: AnyRow) => ({
    tags: [`product ${String(id)}`],
    keys: shelf === null ? [] : [`shelf ${String(shelf)}`],
  }),
  "shop.orders": { changed: ({ _id }: AnyRow) => ({ tags: [JSON.stringify(_id)] }), truncated: { tags: ["orders"] } },
};

function setUp(options: Partial<ConsumeOptions<Rows>> = {}) {
  const cache = new Recorder();
  const warnings: string[] = [];
  const logger = { warn: (text: string): void => void warnings.push(text) };
  return { cache, warnings, invalidate: consume<Rows>(cache, { tables, logger, ...options }) };
}

async function endedBy(event: ConsumedEvent, key?: ConsumedEvent): Promise<readonly string[]> {
  const { cache, invalidate } = setUp();
  await invalidate(event, key);
  return [...cache.tags, ...cache.keys, ...(cache.clears > 0 ? ["everything"] : [])];
}

function raise(): never {
  throw new Error("no disk is left");
}

const source = { db: "shop", schema: "public", table: "products" };
const row = { id: 1, shelf: 2 };

describe("consume", () => {
  it.each([
    ["a creation", { op: "c", before: null, after: row, source }, ["product 1", "shelf 2"]],
    ["a snapshot", { op: "r", after: row, source }, ["product 1", "shelf 2"]],
    ["an update", { op: "u", before: { id: 1, shelf: 3 }, after: row, source }, ["product 1", "shelf 2", "shelf 3"]],
    ["a deletion", { op: "d", before: row, after: null, source }, ["product 1", "shelf 2"]],
    ["an event with its schema", { schema: {}, payload: { op: "c", after: row, source } }, ["product 1", "shelf 2"]],
    ["another table", { op: "c", after: row, source: { ...source, table: "users" } }, []],
    ["a truncated table", { op: "t", source }, ["everything"]],
    ["a truncated table with a rule", { op: "t", source: { db: "shop", collection: "orders" } }, ["orders"]],
    [
      "a document of MongoDB",
      { op: "u", before: null, after: '{"_id":7}', source: { db: "shop", collection: "orders" } },
      ["7"],
    ],
    [
      "a message",
      { op: "m", message: { prefix: "hotset", content: Buffer.from('{"tags":["a"]}').toString("base64") } },
      ["a"],
    ],
    ["a message of others", { op: "m", message: { prefix: "audit", content: "" } }, []],
    ["a sign of life", { ts_ms: 1 }, []],
    ["a sign of life with its schema", { schema: {}, payload: { ts_ms: 1 } }, []],
    ["the end of a transaction with its schema", { schema: {}, payload: { status: "END", id: "7", ts_ms: 1 } }, []],
    ["the end of a transaction", { status: "END", id: "7", ts_ms: 1 }, []],
    [
      "an unchanged large column",
      { op: "u", after: { id: 1, shelf: "__debezium_unavailable_value" }, source },
      ["everything"],
    ],
    ["a change of any consumer", { table: "products", kind: "delete", row }, ["product 1", "shelf 2"]],
    ["targets", { targets: { keys: ["k"] } }, ["k"]],
  ])("C648: takes %s, as an object, text and bytes", async (_what, event, ended) => {
    const text = JSON.stringify(event);
    for (const given of [event, text, Buffer.from(text)]) expect(await endedBy(given)).toEqual(ended);
  });

  it("C648: a deleted document of MongoDB is known by the key of its record", async () => {
    const event = { op: "d", before: null, after: null, source: { db: "shop", collection: "orders" } };
    expect(await endedBy(event, '{"payload":{"id":"{\\"$oid\\":\\"65\\"}"}}')).toEqual(['{"$oid":"65"}']);
    expect(await endedBy(null, "{}")).toEqual([]);
  });

  it("C648: a number beyond 2^53 is what pg gives, and clears where it was rounded", async () => {
    const text = '{"op":"c","after":{"id":1234567890123456789,"shelf":1.5},"source":{"table":"products"}}';
    expect(await endedBy(text)).toEqual(["product 1234567890123456789", "shelf 1.5"]);
    expect(await endedBy(Buffer.from(text))).toEqual(["product 1234567890123456789", "shelf 1.5"]);
    expect(await endedBy(JSON.parse(text) as object)).toEqual(["everything"]);
  });

  it("C648: an update without its older row is known by the key of its record, or clears everything", async () => {
    const update = { op: "u", before: null, after: row, source };
    expect(await endedBy(update, { id: 1 })).toEqual(["everything"]);
    expect(await endedBy(update, { id: 1, shelf: 2 })).toEqual(["product 1", "shelf 2"]);
    expect(await endedBy({ op: "u", before: { id: 1, shelf: 3 }, after: row, source }, { id: 1 })).toEqual([
      "product 1",
      "shelf 2",
      "shelf 3",
    ]);
  });

  it("C648: resolves once it may be acknowledged, and rejects after its deadline", async () => {
    const { cache, invalidate } = setUp({ deadline: 50 });
    cache.answers = () => false;
    await expect(invalidate({ op: "c", after: row, source })).rejects.toThrow(
      "consume: not acknowledged within 50 ms; deliver the event again",
    );
    const patient = setUp();
    const answers = [false, true];
    patient.cache.answers = () => answers.shift() ?? true;
    await patient.invalidate({ op: "c", after: row, source });
    // Tags and keys, and both once more.
    expect(patient.cache.calls).toBe(4);
  });

  it("C647: calls at the same time share their invalidations", async () => {
    const { cache, invalidate } = setUp();
    await Promise.all(
      Array.from({ length: 1_000 }, (_, i) =>
        invalidate({ table: "products", kind: "update", row: { id: i % 10, shelf: null } }),
      ),
    );
    expect(cache.calls).toBe(1);
    expect(cache.tags).toHaveLength(10);
  });

  it("C648: a rule that throws clears everything, and says so", async () => {
    const { cache, warnings, invalidate } = setUp();
    await invalidate({ op: "d", before: { id: 1 }, source });
    expect(cache.clears).toBe(1);
    expect(warnings).toEqual([
      'hotset: follow: the rule of products failed, so everything is cleared: MissingColumnError: the log does not have the column "shelf" of this row',
    ]);
  });

  it.each([
    ["throws", () => raise()],
    ["rejects", async () => raise()],
  ])("C118: a logger that %s changes nothing", async (_, warn) => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", note);
    onTestFinished(() => void process.off("unhandledRejection", note));
    const { cache, invalidate } = setUp({ logger: { warn } });
    await invalidate({ op: "d", before: { id: 1 }, source });
    await new Promise((resolve) => void setImmediate(resolve));
    expect([cache.clears, unhandled]).toEqual([1, []]);
  });

  it.each([
    ["no JSON", "{", "consume: event must be JSON"],
    ["a number", "7", "consume: event must be an object, or JSON of one"],
    [
      "a flattened row",
      { id: 1, shelf: 2 },
      "consume: event must have the fields op and source of Debezium, or table and kind",
    ],
    ["a wrong field", { targets: { tag: ["a"] } }, 'unknown option "targets.tag"; did you mean tags?'],
    ["bad targets", { targets: { tags: "a" } }, "tags must be a list of strings of 1 to 1,024 characters"],
  ])("C648: refuses %s", async (_what, event, says) => {
    await expect(setUp().invalidate(event)).rejects.toThrow(says);
  });

  it("refuses bad options", () => {
    expect(() => setUp({ deadline: 1 })).toThrow("deadline must be from 10 to 3600000 ms");
    expect(() => setUp({ tables: {} })).toThrow("consume: tables must be an object of rules by table");
    expect(() => consume({} as never, { tables })).toThrow("consume: cache must be a cache");
  });
});
