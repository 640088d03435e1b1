import { createTestCache, flush, scriptedBackend, TestClock } from "@hotset/testing";
import { transactions } from "@hotset/transactions";
import { describe, expect, it } from "vitest";
import { placeOf } from "../src/changes.ts";
import { coded, StandIn } from "./stand-in.ts";

/** A process that changes, and one that has the outbox too. */
function open() {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const peer = backend.peer();
  const [a, b] = [backend, peer].map((each) => createTestCache({ clock, ttl: "1h", backend: each }));
  const db = new StandIn();
  const writer = transactions(a!, { outbox: db });
  const reader = transactions(b!, { outbox: db });
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 500) {
      clock.advance(500);
      await flush();
    }
  };
  return { clock, backend, peer, a: a!, b: b!, db, pass, writer, reader, withTransaction: writer.withTransaction };
}

describe("C745: rows of the outbox", () => {
  it("are written before the commit, and deleted once the changes are acknowledged", async () => {
    const { db, a, withTransaction } = open();
    await a.set("k", "old");
    await withTransaction(db, async (_tx, changes) => {
      changes.delete("k");
      changes.namespace("users").invalidateTags("t", "u");
    });
    await flush();
    const [insert, remove] = db.statements;
    const [, id, content] =
      /^insert into hotset_outbox \(id, cache, changes\) values \('(.*)', 'test%3A%3A', '(.*)'\)$/.exec(insert!)!;
    expect(JSON.parse(Buffer.from(content!, "base64url").toString())).toEqual([
      { path: [], keys: ["k"] },
      { path: ["users"], tags: ["t", "u"] },
    ]);
    expect(remove).toBe(`delete from hotset_outbox where id in ('${id}')`);
    expect(db.outbox).toEqual([]);
  });

  it("are those of the transaction: none after a rollback, none without changes, none where it is left out", async () => {
    const { db, withTransaction } = open();
    db.commit = () => Promise.reject(coded("40001"));
    await expect(withTransaction(db, async (_tx, changes) => changes.delete("k"))).rejects.toThrow("40001");
    db.commit = async (make) => make();
    await withTransaction(db, async () => undefined);
    await withTransaction(db, async (_tx, changes) => changes.delete("k"), { outbox: false });
    expect(db.statements).toEqual([]);
  });

  it("of a process that died after its commit are made by another one, and deleted", async () => {
    const { a, b, backend, db, pass, withTransaction } = open();
    await a.set("k", "old", { tags: ["t"] });
    await a.namespace("users").set("1", "old");
    expect(await b.get("k")).toBe("old");
    // Nothing of it reaches the store from the commit on.
    db.commit = async (make) => {
      make();
      backend.down();
    };
    const lost = withTransaction(db, async (tx, changes) => {
      tx.row = "new";
      changes.invalidateTags("t");
      changes.namespace("users").clear();
    });
    await lost;
    expect([await b.get("k"), db.outbox.length]).toEqual(["old", 1]);
    await pass(2_000);
    expect([await b.get("k"), await b.namespace("users").get("1"), db.outbox]).toEqual([undefined, undefined, []]);
  });

  it("H108 stay while a CDN that follows the cache has not confirmed its purge, and another process purges it", async () => {
    const { a, b, db, pass, withTransaction } = open();
    let isConfirmed = false;
    const told: string[] = [];
    for (const [name, cache] of Object.entries({ a, b }))
      placeOf(cache).follow({
        called: () => undefined,
        acknowledged: async ({ tags }) => {
          told.push(`${name} ${tags.join(" ")}`);
          return isConfirmed ? "done" : "pending";
        },
        replayed: () => undefined,
        close: async () => undefined,
      });
    await withTransaction(db, async (_tx, changes) => changes.invalidateTags("books"));
    expect([told, db.outbox.length]).toEqual([["a books"], 1]);
    isConfirmed = true;
    await pass(2_000);
    expect([told.length > 1, new Set(told.slice(1)).has("b books"), db.outbox]).toEqual([true, true, []]);
  });

  it("stay while the backend does not acknowledge, and are made then", async () => {
    const { b, backend, peer, db, pass, withTransaction } = open();
    await b.set("k", "old");
    backend.down();
    peer.down();
    await withTransaction(db, async (_tx, changes) => changes.delete("k"));
    await pass(5_000);
    expect(db.outbox).toHaveLength(1);
    backend.up();
    peer.up();
    await pass(5_000);
    expect([await b.get("k"), db.outbox]).toEqual([undefined, []]);
  });

  it("of a commit without an answer are made if it was made, however late", async () => {
    const { b, db, pass, withTransaction } = open();
    let late = (): void => undefined;
    db.commit = async (make) => {
      late = make;
      throw coded("ECONNRESET");
    };
    await expect(withTransaction(db, async (_tx, changes) => changes.delete("k"))).rejects.toThrow("ECONNRESET");
    await pass(20_000);
    await b.set("k", "old");
    late();
    await pass(2_000);
    expect([await b.get("k"), db.outbox]).toEqual([undefined, []]);
  });

  it("that are found once are left to the process that wrote them", async () => {
    const { b, db, pass } = open();
    await b.set("k", "old");
    await pass(500);
    db.outbox = [{ id: "1", changes: Buffer.from('[{"path":[],"keys":["k"]}]').toString("base64url") }];
    await pass(1_000);
    expect([await b.get("k"), db.outbox.length]).toEqual(["old", 1]);
    await pass(1_500);
    expect([await b.get("k"), db.outbox]).toEqual([undefined, []]);
  });

  it.each([
    ["a field that this release does not know", { path: [], urls: ["/"] }],
    ["a key that no cache takes", { path: [], keys: [""] }],
    ["a namespace that no cache has", { path: [1], clear: true }],
    ["keys that are no list", { path: [], keys: "k" }],
  ])("with %s end everything, and are deleted", async (_, change) => {
    const { a, db, pass } = open();
    await a.set("k", "old");
    db.outbox = [{ id: "1", changes: Buffer.from(JSON.stringify([change])).toString("base64url") }];
    await pass(3_000);
    expect([await a.get("k"), db.outbox]).toEqual([undefined, []]);
  });

  it("that this release does not know clear the cache", async () => {
    const { b, db, pass } = open();
    await b.set("k", "old");
    db.outbox = [{ id: "1", changes: Buffer.from('{"a":1}').toString("base64url") }];
    await pass(2_000);
    expect([await b.get("k"), db.outbox]).toEqual([undefined, []]);
  });

  it("are not looked for after close", async () => {
    const { a, b, db, pass } = open();
    await pass(1_000);
    await Promise.all([a.close(), b.close()]);
    db.statements.length = 0;
    await pass(5_000);
    expect(db.statements).toEqual([]);
  });
});

describe('outbox: "follow"', () => {
  it("C745: a message in the transaction has the keys and tags, in ASCII", async () => {
    const db = new StandIn();
    const { withTransaction } = transactions(createTestCache(), { outbox: "follow" });
    await withTransaction(db, async (_tx, changes) => {
      changes.delete("it's", "back\\slash");
      changes.invalidateTags("é");
      changes.namespace("users").invalidateTags("u");
    });
    expect(db.statements).toEqual([
      `select pg_logical_emit_message(true, 'hotset', E'{"tags":["\\\\u00e9","u"],"keys":["it''s","back\\\\\\\\slash"]}')::text`,
    ]);
  });

  it("refuses keys of namespaces, which it cannot name: the transaction is rolled back", async () => {
    const db = new StandIn();
    const { withTransaction } = transactions(createTestCache(), { outbox: "follow" });
    const refused = withTransaction(db, async (tx, changes) => {
      tx.row = "new";
      changes.namespace("users").delete("1");
    });
    await expect(refused).rejects.toThrow('outbox: "follow" has no keys of namespaces');
    expect(db.row).toBe("old");
  });
});

it("refuses a name of a table that is more than a name", () => {
  const options = { outbox: new StandIn(), outboxTable: "x; drop table y" };
  expect(() => transactions(createTestCache(), options)).toThrow("outboxTable must be a name of letters, digits and _");
});
