/** Five mistakes that leave every other figure green, in several real processes over a real Redis. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { forkScript, randomPrefix, startOwnRedis, type OwnRedis, type ScriptProcess } from "@hotset/test-servers";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import type { handlers, Mistake } from "./support/priced-shop.ts";

type Shop = ScriptProcess<typeof handlers>;
const TWO_MINUTES = 120_000;

let redis: OwnRedis;
let folder: string;
beforeAll(async () => {
  redis = await startOwnRedis();
  folder = mkdtempSync(join(tmpdir(), "hotset-prices-"));
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function database(name: string, cents?: number): string {
  const file = join(folder, name);
  const db = new DatabaseSync(file);
  db.exec("PRAGMA journal_mode = WAL; CREATE TABLE products (id INTEGER PRIMARY KEY, cents INTEGER)");
  for (let id = 1; id <= 40; id += 1) db.prepare("INSERT INTO products VALUES (?, ?)").run(id, cents ?? 100 + id);
  db.close();
  return file;
}

interface Incident {
  readonly name: string;
  readonly mistake?: Mistake;
  /** One process more, or web-3 in place of the usual one. */
  readonly odd?: (usual: { readonly redisUrl: string; readonly database: string }) => {
    readonly name: string;
    readonly redisUrl: string;
    readonly database: string;
  };
  readonly seen: RegExp;
}

const INCIDENTS: readonly Incident[] = [
  {
    name: "I01: the same product in two namespaces, deleted in one",
    mistake: "two namespaces",
    seen: /values of checkout › product that were compared with their source are wrong: their keys or tags were invalidated in catalog alone.* in cents.*\| invalidate the key or tag in each namespace/,
  },
  {
    name: "I14: what belongs to a user, under a key that all share",
    mistake: "shared key",
    seen: /values of users › cart that .* are wrong: loaders of one key give different values.*"users › cart:current" in user.*\| put what the loader depends on/,
  },
  {
    name: "I17: staging joins with the name and Redis of production, over its own database",
    odd: (usual) => ({ ...usual, name: "staging-1", database: database("staging.db", 1) }),
    seen: /values of catalog › product (differ from their source|that .* are wrong).* written by staging-1/,
  },
  {
    name: "I21: the key is deleted before its source is changed",
    mistake: "delete before write",
    seen: /values of catalog › product that .* are wrong: they were loaded right after their keys were deleted.*\| change the source first/,
  },
  {
    name: "I05: a process with another database number of Redis",
    odd: ({ redisUrl, ...usual }) => ({ ...usual, name: "web-3", redisUrl: `${redisUrl}/1` }),
    seen: /values of catalog › product differ from their source, more of the older ones.*this process has invalidated none of them itself.*\| .*database number/,
  },
];

it.each(INCIDENTS)("C742: $name, is named", async ({ mistake, odd, seen }) => {
  const prefix = randomPrefix();
  const usual = { redisUrl: redis.url.replace(/\/$/, ""), database: database(`${prefix.replaceAll(/\W/g, "")}.db`) };
  const shops = Array.from({ length: odd === undefined ? 2 : 3 }, (): Shop =>
    forkScript<typeof handlers>(new URL("support/priced-shop.ts", import.meta.url)),
  );
  onTestFinished(async () => {
    await Promise.all(shops.map((shop) => shop.kill()));
  });
  const [web1, web2, other] = shops as [Shop, Shop, Shop?];
  await web1.call("start", { ...usual, prefix, name: "web-1", changes: true });
  await web2.call("start", { ...usual, prefix, name: "web-2", changes: true });
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const early = await Promise.all([web1, web2].map((shop) => shop.call("found")));
  expect(early.flat().filter((text) => /source/.test(text))).toEqual([]);
  if (other !== undefined) await other.call("start", { ...odd!(usual), prefix, changes: false });
  if (mistake !== undefined) await Promise.all([web1, web2].map((shop) => shop.call("err", mistake)));
  const until = performance.now() + TWO_MINUTES;
  let found: readonly string[] = [];
  while (!found.some((text) => seen.test(text)) && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    found = (await Promise.all(shops.map((shop) => shop.call("found")))).flat();
  }
  expect(found.filter((text) => /source/.test(text)).join("\n")).toMatch(seen);
  expect((await web1.call("stats")).verified).toBeGreaterThan(20);
});
