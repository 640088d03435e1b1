import { readFileSync } from "node:fs";
import { type Backend, type BackendPromise, fromSwap, promisesOf, type SwapStore } from "@hotset/core";
import { keyv } from "@hotset/keyv";
import { postgres } from "@hotset/postgres";
import { scriptedBackend, TestClock } from "@hotset/testing";
import { aesGcm, compose, redis, sealed, sqlite } from "hotset";
import { describe, expect, it } from "vitest";

const tracking = redis("redis://localhost").build();

/** One backend for each row of the table. None of them opens anything before its first call. */
const STORES: Readonly<Record<string, Backend>> = {
  "Redis, tracking or channel": tracking,
  'Redis, `coherence("none")`': redis("redis://localhost").coherence("none").build(),
  SQLite: sqlite("cache.db"),
  PostgreSQL: postgres({ url: "postgres://localhost/shop" }),
  "your own store with `fromSwap`": fromSwap({} as SwapStore<string>, { label: "swap" }),
  "a Keyv store": keyv(new Map()),
  "a Keyv store, `isOnlyWriter`": keyv(new Map(), { isOnlyWriter: true }),
  "your own backend with only four methods": scriptedBackend({ clock: new TestClock(), coherence: "none" }),
};

const page = readFileSync(new URL("../../../../docs/guide/which-store.md", import.meta.url), "utf8");
const section = page.slice(page.indexOf("## Promises by store"), page.indexOf("A [composition]"));
const [head, , ...rows] = section
  .split("\n")
  .filter((line) => line.startsWith("|"))
  .map((line) => line.slice(2, -2).split(" | "));

describe("C565 the table of stores and promises, in docs/guide/which-store.md", () => {
  it("has a row for each store", () => {
    expect(rows.map(([store]) => store)).toEqual(Object.keys(STORES));
  });

  it.each(rows.map(([store, ...cells]) => [store!, cells] as const))(
    "says of %s what the code says",
    (store, cells) => {
      const claimed = head!.slice(1).filter((_, i) => cells[i] === "yes");
      expect(cells.filter((cell) => cell !== "yes" && cell !== "no")).toEqual([]);
      expect(claimed).toEqual(promisesOf(STORES[store]!));
    },
  );

  it("a composition and a sealed backend promise what the backend in them does", () => {
    const seal = aesGcm({ keys: [{ id: "k", key: Buffer.alloc(32, 1) }] });
    for (const backend of Object.values(STORES)) {
      const near = keyv(new Map(), { isOnlyWriter: true });
      expect(promisesOf(compose(near, backend, { nearTtl: "1s" }))).toEqual(promisesOf(backend));
      expect(promisesOf(sealed(backend, seal))).toEqual(promisesOf(backend));
    }
  });

  it("promises no tags where there is no room for them", () => {
    const foreign: Backend = { ...tracking, keepsMeta: false };
    expect(promisesOf(foreign)).toEqual(["one load", "deletes hold", "copies follow"] satisfies BackendPromise[]);
  });
});
