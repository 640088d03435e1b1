import type { Cache } from "@hotset/core";
import { createTestCache, flush, gate, mapTier, outcome, scriptedBackend, TestClock, type Gate } from "@hotset/testing";
import { transactions, type Changes, type TransactionsOptions } from "@hotset/transactions";
import { describe, expect, it } from "vitest";
import { coded, StandIn, type StandInTransaction } from "./stand-in.ts";

type Stack = "memory" | "backend" | "memory over backend" | "no leases" | "no reports";
const SHARED: readonly Stack[] = ["backend", "memory over backend", "no leases", "no reports"];

function open(stack: Stack = "memory over backend", options: TransactionsOptions = {}) {
  const clock = new TestClock();
  const isReported = stack !== "no reports";
  const backend = scriptedBackend({
    clock,
    leases: stack !== "no leases",
    tagVersions: true,
    coherence: isReported ? "reported" : "none",
  });
  const settings = {
    clock,
    ttl: "1h",
    local: stack !== "backend",
    ...(!isReported && { localTtl: "1s" as const }),
  } as const;
  const cacheOf = (each: typeof backend): Cache =>
    createTestCache({ ...settings, backend: stack !== "memory" && each });
  const peer = backend.peer();
  const [a, b] = [cacheOf(backend), cacheOf(peer)];
  const [writer, reader] = [transactions(a, options), transactions(b)];
  const db = new StandIn();
  const load = (cache: Cache): Promise<string> => cache.getOrSet("k", async () => db.row, { tags: ["t"] });
  return { clock, backend, peer, a, b, db, load, writer, reader, withTransaction: writer.withTransaction };
}

/** A transaction that has noted `change` and waits for the gate. */
function transaction(
  { withTransaction, db }: Pick<ReturnType<typeof open>, "withTransaction" | "db">,
  change: (changes: Changes<StandInTransaction>) => void,
): { readonly end: Gate; readonly ended: Promise<unknown> } {
  const end = gate();
  const ended = withTransaction(db, async (tx, changes) => {
    tx.row = "new";
    change(changes);
    await end.opened;
  });
  ended.catch(() => undefined);
  return { end, ended };
}

/** How often a process has sent a store of the key. */
const storesOf = (backend: ReturnType<typeof open>["backend"]): number =>
  backend.count("write", "test::k") + backend.count("leases.store", "test::k");

const rolledBack = coded("40001");
const CHANGES: readonly (readonly [string, (changes: Changes<StandInTransaction>) => void])[] = [
  ["delete", (changes) => changes.delete("k")],
  ["invalidateTags", (changes) => changes.invalidateTags("t")],
  ["clear", (changes) => changes.clear()],
];

describe.each(SHARED)("over %s", (stack) => {
  it.each(CHANGES)(
    "C745: from %s to the commit no process stores what it loads; then it does",
    async (_name, change) => {
      const shop = open(stack);
      const { end, ended } = transaction(shop, change);
      await flush();
      const { a, b, backend, peer, load } = shop;
      expect(await Promise.all([load(a), load(b)])).toEqual(["old", "old"]);
      await flush();
      expect(await Promise.all([a.get("k"), b.get("k")])).toEqual([undefined, undefined]);
      expect([storesOf(backend), storesOf(peer)]).toEqual([0, 0]);
      end.open();
      await ended;
      await flush();
      expect(await load(b)).toBe("new");
      expect(await Promise.all([load(a), b.get("k")])).toEqual(["new", "new"]);
    },
  );

  it.each(CHANGES)(
    "C745: a copy from before %s is served until the commit, and not after it",
    async (_name, change) => {
      const shop = open(stack);
      const { a, b, load, clock } = shop;
      expect(await Promise.all([load(a), load(b)])).toEqual(["old", "old"]);
      const { end, ended } = transaction(shop, change);
      await flush();
      expect(await Promise.all([a.get("k"), b.get("k")])).toEqual(["old", "old"]);
      end.open();
      await ended;
      expect(await load(a)).toBe("new");
      if (stack === "no reports") clock.advance("1s");
      await flush();
      expect(await load(b)).toBe("new");
    },
  );

  it("C745: a rollback changes nothing: copies stay, and loads are stored again", async () => {
    const shop = open(stack);
    const { a, b, db, load } = shop;
    await a.set("kept", 1, { tags: ["t"] });
    db.commit = () => Promise.reject(rolledBack);
    const { end, ended } = transaction(shop, (changes) => {
      changes.delete("k", "kept");
      changes.invalidateTags("t");
    });
    await flush();
    end.open();
    await expect(ended).rejects.toBe(rolledBack);
    await flush();
    expect([await a.get("kept"), await b.get("kept")]).toEqual([1, 1]);
    expect(await load(b)).toBe("old");
    expect(await a.get("k")).toBe("old");
  });

  it("C745: a load that runs while the transaction begins is not stored", async () => {
    const shop = open(stack);
    const { a, b, db } = shop;
    const [first, second] = [gate(), gate()];
    const loads = [
      a.getOrSet("k", async () => (await first.opened, db.row)),
      b.getOrSet("k2", async () => (await second.opened, db.row)),
    ];
    await flush();
    const { end, ended } = transaction(shop, (changes) => changes.delete("k", "k2"));
    await flush();
    first.open();
    second.open();
    expect(await Promise.all(loads)).toEqual(["old", "old"]);
    await flush();
    expect([await b.get("k"), await a.get("k2")]).toEqual([undefined, undefined]);
    end.open();
    await ended;
  });

  it.each(["before", "after"] as const)(
    "C745: a store that crosses the record on the wire is taken back, held %s it",
    async (where) => {
      const shop = open(stack);
      const { b, peer, load } = shop;
      const crossing = gate();
      peer.script(stack === "no leases" ? "write" : "leases.store", { [where]: crossing, key: "test::k" });
      const loading = load(b);
      await flush();
      const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
      await flush();
      crossing.open();
      expect(await loading).toBe("old");
      await flush();
      expect([await b.get("k"), await shop.a.get("k")]).toEqual([undefined, undefined]);
      end.open();
      await ended;
    },
  );

  it("C745: so is a value that was computed outside a load", async () => {
    const shop = open(stack);
    const { b, peer, db } = shop;
    const crossing = gate();
    const since = await b.fence("k");
    peer.script(stack === "no leases" ? "write" : "leases.store", { before: crossing, key: "test::k" });
    const setting = b.set("k", db.row, { since });
    await flush();
    const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
    await flush();
    crossing.open();
    expect(await setting).toEqual({ status: "refused" });
    await flush();
    expect([await b.get("k"), await shop.a.get("k")]).toEqual([undefined, undefined]);
    end.open();
    await ended;
  });

  it("C745: a value that is computed outside a load, behind a fence, is not stored either", async () => {
    const shop = open(stack);
    const { a, b, db } = shop;
    const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
    await flush();
    for (const cache of [a, b]) {
      const since = await cache.fence("k");
      expect(await cache.set("k", db.row, { since })).toEqual({ status: "refused" });
    }
    await flush();
    expect(await b.get("k")).toBe(undefined);
    end.open();
    await ended;
  });

  it("C745: a process that is lost in its transaction is obeyed for holdFor, and not longer", async () => {
    const shop = open(stack, { holdFor: "8s" });
    const { backend, b, load, clock } = shop;
    void transaction(shop, (changes) => changes.delete("k"));
    await flush();
    // Renewed until it is cut off.
    clock.advance("6s");
    await flush();
    backend.down();
    clock.advance("7s");
    await flush();
    expect([await load(b), await b.get("k")]).toEqual(["old", undefined]);
    clock.advance("1s");
    await flush();
    expect([await load(b), await b.get("k")]).toEqual(["old", "old"]);
  });
});

it("a local tier that throws while a store is taken back ends the turn of the store", async () => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const tier = mapTier();
  const cache = createTestCache({ clock, ttl: "1h", local: tier, backend });
  const other = createTestCache({ clock, ttl: "1h", backend: backend.peer() });
  transactions(cache);
  const shop = { db: new StandIn(), withTransaction: transactions(other).withTransaction };
  const crossing = gate();
  backend.script("leases.store", { after: crossing, key: "test::k" });
  const loading = cache.getOrSet("k", () => "old");
  await flush();
  const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
  await flush();
  const { delete: whole } = tier;
  tier.delete = () => {
    throw new Error("the tier is broken");
  };
  crossing.open();
  await flush();
  Object.assign(tier, { delete: whole });
  end.open();
  await ended;
  expect(await loading).toBe("old");
  expect(await outcome(cache.set("k", "new"))).toMatchObject({ status: "fulfilled", value: { status: "stored" } });
});

describe("over memory alone", () => {
  it("C745: neither a load nor a value behind a fence is stored while the transaction is open", async () => {
    const shop = open("memory");
    const { a, load } = shop;
    const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
    await flush();
    const since = await a.fence("k");
    expect([await load(a), a.peek("k")]).toEqual(["old", undefined]);
    expect([await a.set("k", "old", { since }), a.peek("k")]).toEqual([{ status: "refused" }, undefined]);
    end.open();
    await ended;
    expect([await load(a), a.peek("k")]).toEqual(["new", "new"]);
  });
});

it("C745: a value behind a fence is not sent while the record stands", async () => {
  const shop = open();
  const { b, peer, db } = shop;
  const since = await b.fence("k");
  const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
  await flush();
  peer.forgetCalls();
  expect(await b.set("k", db.row, { since })).toEqual({ status: "refused" });
  expect(storesOf(peer)).toBe(0);
  end.open();
  await ended;
});

it("C745: after the commit the record stands until the changes are acknowledged", async () => {
  const shop = open();
  const { a, b, backend, db } = shop;
  const [removing, loading] = [gate(), gate()];
  const answer = b.getOrSet("k", async () => {
    const { row } = db;
    await loading.opened;
    return row;
  });
  await flush();
  const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
  await flush();
  backend.script("remove", { before: removing });
  end.open();
  await flush();
  expect([db.row, (await outcome(ended)).status]).toEqual(["new", "pending"]);
  loading.open();
  expect(await answer).toBe("old");
  await flush();
  expect(await b.get("k")).toBe(undefined);
  removing.open();
  await ended;
  expect(await a.getOrSet("k", () => db.row)).toBe("new");
});

it("C745: a long tag is held by the name that it has in entries", async () => {
  const shop = open();
  const tag = "t".repeat(600);
  const { end, ended } = transaction(shop, (changes) => changes.invalidateTags(tag));
  await flush();
  expect([await shop.b.getOrSet("k", () => 1, { tags: [tag] }), await shop.b.get("k")]).toEqual([1, undefined]);
  end.open();
  await ended;
});

it("C745: more than 1,000 keys and tags hold everything", async () => {
  const shop = open();
  const keys = Array.from({ length: 1_001 }, (_, i) => `key ${i}`);
  const { end, ended } = transaction(shop, (changes) => changes.delete(...keys));
  await flush();
  for (const key of ["key 7", "another"])
    expect([await shop.b.getOrSet(key, () => 1), await shop.b.get(key)]).toEqual([1, undefined]);
  end.open();
  await ended;
});

it("C745: a transaction of five minutes holds nothing any more; its changes are made", async () => {
  const warned: string[] = [];
  const listen = ({ message }: Error): void => void warned.push(message);
  process.on("warning", listen);
  const shop = open();
  const { b, clock, load } = shop;
  const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
  await flush();
  for (let passed = 0; passed < 300; passed += 2) {
    clock.advance("2s");
    await flush();
    if (passed % 50 === 0) expect([await load(b), await b.get("k")]).toEqual(["old", undefined]);
  }
  clock.advance("3s");
  await flush();
  expect([await load(b), await b.get("k")]).toEqual(["old", "old"]);
  end.open();
  await ended;
  await flush();
  expect(await load(b)).toBe("new");
  process.off("warning", listen);
  expect(warned.join()).toContain("transactions: a transaction has run for five minutes");
});

it("C745: a process that died is asked about no more", async () => {
  const shop = open();
  const { b, backend, clock, load } = shop;
  const members = (): Promise<unknown> => b.namespace("~transactions").get("members");
  void transaction(shop, (changes) => changes.delete("k"));
  await flush();
  expect(await members()).toHaveLength(1);
  backend.down();
  for (let passed = 0; passed < 12; passed += 1) {
    clock.advance("1s");
    await flush();
  }
  expect(await load(b)).toBe("old");
  await flush();
  expect(await members()).toEqual([]);
});

it("C745: a commit is sent only once every process knows what changes", async () => {
  const shop = open();
  const { backend, db, withTransaction } = shop;
  const written = gate();
  backend.script("write", { before: written });
  const ended = withTransaction(db, async (tx, changes) => {
    tx.row = "new";
    changes.delete("k");
  });
  await flush();
  expect([db.row, (await outcome(ended)).status]).toEqual(["old", "pending"]);
  written.open();
  await ended;
  expect(db.row).toBe("new");
});

it("C745: keys, tags and all of namespaces, and nothing beside them", async () => {
  const { a, b, db, withTransaction } = open();
  const [users, teams] = [b.namespace("users"), b.namespace("teams")];
  const store = async (): Promise<void> => {
    await users.set("1", 1, { tags: ["t"] });
    await users.set("2", 2, { tags: ["u"] });
    await teams.set("1", 3, { tags: ["t"] });
    await b.set("1", 4, { tags: ["t"] });
  };
  const left = async (): Promise<unknown> => {
    await flush();
    return [await users.get("1"), await users.get("2"), await teams.get("1"), await b.get("1")];
  };
  const run = (body: (changes: Changes) => void): Promise<void> =>
    withTransaction(db, async (_tx, changes) => body(changes));
  await store();
  await run((changes) => changes.namespace("users").delete("1"));
  expect(await left()).toEqual([undefined, 2, 3, 4]);
  await store();
  await run((changes) => changes.namespace("users").invalidateTags("u"));
  expect(await left()).toEqual([1, undefined, 3, 4]);
  await run((changes) => changes.namespace("teams").clear());
  expect(await left()).toEqual([1, undefined, undefined, 4]);
  await run((changes) => changes.invalidateTags("t".repeat(600), "t"));
  expect(await left()).toEqual([undefined, undefined, undefined, undefined]);
  expect(await a.namespace("users").getOrSet("1", () => 5)).toBe(5);
});

it.each(["a", "b"] as const)(
  "C745: a clear by %s, which has or reads the record, ends no transaction's hold",
  async (by) => {
    const shop = open();
    const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
    await flush();
    await shop[by].clear();
    for (let i = 0; i < 5; i += 1) {
      await flush();
      shop.clock.advance(20);
    }
    for (const cache of [shop.a, shop.b])
      expect([await shop.load(cache), await cache.get("k")]).toEqual(["old", undefined]);
    end.open();
    await ended;
    await flush();
    expect([await shop.load(shop.b), await shop.b.get("k")]).toEqual(["new", "new"]);
  },
);

it("C745: a load of anything else is stored while a transaction is open", async () => {
  const shop = open();
  const { end, ended } = transaction(shop, (changes) => {
    changes.delete("k");
    changes.namespace("users").invalidateTags("t");
  });
  await flush();
  for (const cache of [shop.a, shop.b]) {
    await cache.getOrSet(`other ${cache === shop.a}`, () => 1, { tags: ["t"] });
    await cache.namespace("users").getOrSet(`other ${cache === shop.a}`, () => 1, { tags: ["u"] });
  }
  await flush();
  expect(await Promise.all([shop.b.get("other true"), shop.a.get("other false")])).toEqual([1, 1]);
  expect(await shop.b.namespace("users").get("other true")).toBe(1);
  end.open();
  await ended;
});

it("C745: of two transactions of one key each holds it until it ends", async () => {
  const shop = open();
  const [first, second] = [1, 2].map(() => transaction(shop, (changes) => changes.delete("k")));
  await flush();
  first!.end.open();
  await first!.ended;
  await flush();
  expect([await shop.load(shop.b), await shop.b.get("k")]).toEqual(["new", undefined]);
  second!.end.open();
  await second!.ended;
  await flush();
  expect([await shop.load(shop.b), await shop.b.get("k")]).toEqual(["new", "new"]);
});

it("C745: transactions of two processes hold a key each, and one does not end the other's", async () => {
  const shop = open();
  const other = shop.reader.withTransaction;
  const first = transaction(shop, (changes) => changes.delete("k"));
  const second = transaction({ ...shop, withTransaction: other }, (changes) => changes.delete("k"));
  await flush();
  second.end.open();
  await second.ended;
  await flush();
  expect([await shop.load(shop.b), await shop.b.get("k")]).toEqual(["new", undefined]);
  first.end.open();
  await first.ended;
});

describe("a commit without an answer", () => {
  const lost = Object.assign(new Error("Connection terminated"), { code: "ECONNRESET" });

  it.each(["made", "not made"])(
    "C745: that was %s counts as one: the changes are made, and the error is thrown",
    async (how) => {
      const shop = open();
      const { a, b, db, load } = shop;
      expect([await load(a), await load(b)]).toEqual(["old", "old"]);
      db.commit = async (make) => {
        if (how === "made") make();
        throw lost;
      };
      const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
      end.open();
      await expect(ended).rejects.toBe(lost);
      await flush();
      const row = how === "made" ? "new" : "old";
      expect([await load(b), await load(a), await b.get("k")]).toEqual([row, row, undefined]);
    },
  );

  it("C745: that comes late: what is loaded before it is stored nowhere, and after holdFor the changes are made again", async () => {
    const shop = open("memory over backend", { holdFor: "5s" });
    const { a, b, db, load, clock } = shop;
    let late = (): void => undefined;
    db.commit = async (make) => {
      late = make;
      throw lost;
    };
    const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
    end.open();
    await expect(ended).rejects.toBe(lost);
    await flush();
    expect([await load(b), await load(a), await b.get("k")]).toEqual(["old", "old", undefined]);
    // By a process that knows of no transactions.
    await b.set("k", "old");
    late();
    clock.advance("5s");
    await flush();
    expect([await load(b), await load(a), await b.get("k")]).toEqual(["new", "new", "new"]);
  });

  it("C745: close makes its changes again at once", async () => {
    const shop = open();
    shop.db.commit = () => Promise.reject(lost);
    const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
    end.open();
    await expect(ended).rejects.toBe(lost);
    await shop.b.set("k", "old");
    await shop.a.close();
    await flush();
    expect(await shop.b.get("k")).toBe(undefined);
  });
});

it.each(["40001", "40P01", "23505", "25P02", "P2034"])(
  "an answer %s is a rollback; so is one inside the error of a library",
  async (code) => {
    for (const error of [coded(code), new Error("wrapped", { cause: coded(code) })]) {
      const { a, db, withTransaction } = open();
      await a.set("k", "kept");
      db.commit = () => Promise.reject(error);
      await expect(withTransaction(db, async (_tx, changes) => changes.delete("k"))).rejects.toBe(error);
      expect(await a.get("k")).toBe("kept");
    }
  },
);

it.each(["40003", "57P01", "08006"])("an answer %s may have come after the commit", async (code) => {
  const { a, db, withTransaction } = open();
  await a.set("k", "old");
  db.commit = () => Promise.reject(coded(code));
  await expect(withTransaction(db, async (_tx, changes) => changes.delete("k"))).rejects.toThrow(code);
  expect(await a.get("k")).toBe(undefined);
});

it("C745: a body that throws makes no change, and its error is thrown", async () => {
  const { a, b, db, withTransaction } = open();
  await a.set("k", "kept");
  const failed = new Error("mine");
  await expect(
    withTransaction(db, async (_tx, changes) => {
      changes.delete("k");
      throw failed;
    }),
  ).rejects.toBe(failed);
  await flush();
  expect([await b.get("k"), await b.getOrSet("k2", () => 1), await a.get("k2")]).toEqual(["kept", 1, 1]);
});

it("retries a conflict as often as it may, and only the last attempt's changes are made", async () => {
  const { a, clock, db, withTransaction } = open();
  await a.set("1", 1);
  await a.set("3", 3);
  db.commit = async (make) => {
    if (db.begun < 3) throw coded("40001");
    make();
  };
  const running = withTransaction(db, async (_tx, changes) => changes.delete(`${db.begun}`), { retries: 2 });
  for (let i = 0; i < 10; i += 1) {
    await flush();
    clock.advance(50);
  }
  await running;
  expect([db.begun, await a.get("1"), await a.get("3")]).toEqual([3, 1, undefined]);
  db.commit = () => Promise.reject(coded("40001"));
  await expect(withTransaction(db, async () => 1)).rejects.toThrow("40001");
  expect(db.begun).toBe(4);
});

it("C745: changes of a savepoint that is rolled back are not made", async () => {
  const { a, db, withTransaction } = open();
  for (const key of ["1", "2", "3", "4"]) await a.set(key, key);
  await withTransaction(db, async (_tx, changes) => {
    changes.delete("1");
    await changes.savepoint(async (tx, inner) => {
      tx.row = "new";
      inner.delete("2");
      await inner.savepoint(async (_below, innermost) => innermost.delete("3"));
    });
    const undone = changes.savepoint(async (tx, inner) => {
      tx.row = "undone";
      inner.delete("4");
      throw new Error("undone");
    });
    await expect(undone).rejects.toThrow("undone");
  });
  expect([...(await a.getMany(["1", "2", "3", "4"])).keys()]).toEqual(["4"]);
  expect(db.row).toBe("new");
});

describe("while the backend is down", () => {
  it("C745: a transaction commits, and its changes are pending and replayed", async () => {
    const { a, b, backend, clock, db, load, withTransaction } = open();
    expect([await load(a), await load(b)]).toEqual(["old", "old"]);
    backend.down();
    await withTransaction(db, async (tx, changes) => {
      tx.row = "new";
      changes.delete("k");
    });
    expect([db.row, await load(a), a.stats().pending > 0]).toEqual(["new", "new", true]);
    backend.up();
    for (let i = 0; i < 5; i += 1) {
      clock.advance("1s");
      await flush();
    }
    expect([a.stats().pending, await load(b)]).toEqual([0, "new"]);
  });

  it("C745: a backend that does not answer delays a commit by its deadline, and not longer", async () => {
    const { backend, clock, db, withTransaction } = open();
    backend.script("*", { before: gate(), times: Infinity });
    const ended = withTransaction(db, async (tx, changes) => {
      tx.row = "new";
      changes.delete("k");
    });
    await flush();
    expect(db.row).toBe("old");
    clock.advance("1s");
    await flush();
    expect(db.row).toBe("new");
    for (let passed = 0; passed < 5; passed += 1) {
      clock.advance("1s");
      await flush();
    }
    expect((await outcome(ended)).status).toBe("fulfilled");
  });

  it("a process that can't ask stores what it loads, as in any outage", async () => {
    const { backend, a, load } = open("backend");
    backend.down();
    expect(await load(a)).toBe("old");
  });
});

describe("close", () => {
  it("of the cache waits for a transaction, whose changes are acknowledged", async () => {
    const shop = open();
    await shop.b.set("k", "old");
    const { end, ended } = transaction(shop, (changes) => changes.delete("k"));
    await flush();
    const closing = shop.a.close();
    await flush();
    expect((await outcome(closing)).status).toBe("pending");
    end.open();
    await ended;
    await closing;
    await flush();
    expect(await shop.b.get("k")).toBe(undefined);
    expect([await shop.b.getOrSet("k", () => 1), await shop.b.get("k")]).toEqual([1, 1]);
  });

  it("refuses further transactions, and lets the cache have new ones", async () => {
    const { a, writer, withTransaction, db } = open();
    await writer.close();
    await expect(withTransaction(db, async () => 1)).rejects.toThrow("withTransaction: transactions are closed");
    expect(await transactions(a).withTransaction(db, async () => 2)).toBe(2);
  });
});

describe("refuses", () => {
  it("a bad key and tag where it is noted: the transaction is rolled back", async () => {
    const { db, withTransaction } = open();
    const bad = withTransaction(db, async (tx, changes) => {
      tx.row = "new";
      changes.delete("");
    });
    await expect(bad).rejects.toThrow('key must be a non-empty string like "user:42", got ""');
    const tag = withTransaction(db, async (_tx, changes) => changes.invalidateTags(""));
    await expect(tag).rejects.toThrow("tags must be non-empty, well-formed strings");
    expect(db.row).toBe("old");
  });

  it("a change after the end", async () => {
    const { db, withTransaction } = open();
    const kept = await withTransaction(db, async (_tx, changes) => ({ changes }));
    expect(() => kept.changes.delete("k")).toThrow("changes: its transaction has ended; await all of its work");
  });

  it("a savepoint that is not awaited: its rows would be committed without its changes", async () => {
    const { a, db, load, withTransaction } = open();
    await load(a);
    const atEnd = gate();
    const after = Promise.withResolvers<unknown>();
    const ended = withTransaction(db, async (_tx, changes) => {
      const savepoint = changes.savepoint(async (tx, inner) => {
        tx.row = "new";
        inner.delete("k");
        await atEnd.pass();
      });
      after.resolve(outcome(savepoint));
      await atEnd.arrived();
    });
    await expect(ended).rejects.toThrow("changes.savepoint: what it is in ended before it did; await it");
    atEnd.open();
    await after.promise;
    expect([db.row, a.peek("k")]).toEqual(["old", "old"]);
    const nested = withTransaction(db, (_tx, changes) =>
      changes.savepoint(async (_below, inner) => void inner.savepoint(() => new Promise(() => undefined))),
    );
    await expect(nested).rejects.toThrow("changes.savepoint: what it is in ended before it did; await it");
    const kept = await withTransaction(db, async (_tx, changes) => ({ changes }));
    await expect(kept.changes.savepoint(async () => 1)).rejects.toThrow("changes: its transaction has ended");
  });

  it("what is no database, unknown options, an outbox that is not there, and a second time", async () => {
    const { a, db, withTransaction } = open();
    await expect(withTransaction({}, async () => 1)).rejects.toThrow(
      "db must be a pool of pg, or a database of Drizzle",
    );
    await expect(withTransaction(db, async () => 1, { outbox: true })).rejects.toThrow(
      "withTransaction: outbox needs one; write transactions(cache, { outbox: db })",
    );
    await expect(withTransaction(db, async () => 1, { outbox: "yes" as never })).rejects.toThrow(
      "withTransaction: outbox must be true or false",
    );
    await expect(withTransaction(db, async () => 1, { retries: 0.5 })).rejects.toThrow(
      "retries must be a whole number",
    );
    await expect(withTransaction(db, async () => 1, { retry: 1 } as object)).rejects.toThrow('unknown option "retry"');
    expect(() => transactions(a)).toThrow("transactions: the cache has transactions already");
    expect(() => transactions(a, { outbox: {} })).toThrow();
  });
});
