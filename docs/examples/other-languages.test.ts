import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startOwnRedis, until } from "@hotset/test-servers";
import { createCache, memory, redis, type Cache } from "hotset";
import { afterAll, beforeEach, expect, it } from "vitest";

const page = readFileSync(join(import.meta.dirname, "../guide/other-languages.md"), "utf8");
const blockOf = (language: string): string => new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "ms").exec(page)![1]!;
/** The script, and all strings of one block. */
const partsOf = (block: string): readonly string[] => [
  /("""|`)\n(.*?)\1/s.exec(block)![2]!,
  ...Array.from(block.matchAll(/"(hotset[^"]*)"/g), ([, text]) => text!),
];
const [script, key, leaseOf, issuer, version] = partsOf(blockOf("python")) as [string, string, string, string, string];

const server = await startOwnRedis();
afterAll(() => server.stop());
beforeEach(() => server.command("FLUSHALL"));

const open = (mode: "tracking" | "pubsub"): Cache =>
  createCache({ name: "shop" })
    .tier(memory())
    .tier(redis(server.url).coherence(mode).responseTimeout("15s").build())
    .defaults({ ttl: "1h" })
    .build();

it("the programs of the page send the same bytes in both languages", () => {
  expect(partsOf(blockOf("go"))).toEqual(partsOf(blockOf("python")));
  expect(page).toContain(`| \`${leaseOf}${key}}\` |`);
});

it.each(["tracking", "pubsub"] as const)("a key and a tag are invalidated by its commands, with %s", async (mode) => {
  await using cache = open(mode);
  const announce = async (changed: string): Promise<void> => {
    if (mode === "pubsub") await server.command("PUBLISH", "hotset~changes", `1 billing ${changed}`);
  };
  await cache.connect();
  await cache.set("user:42", "Ada");
  await cache.set("user:43", "Grace", { tags: ["users"] });
  await cache.set("user:44", "Alan", { tags: ["others"] });
  for (const id of [42, 43, 44]) expect(await cache.get(`user:${id}`)).toBeDefined();

  expect(await server.command("DEL", key, `${leaseOf}${key}}`)).toBe(1);
  await announce(key);
  await until("the copy to be dropped", async () => (await cache.get("user:42")) === undefined);

  expect(await server.command("EVAL", script, 2, issuer, version)).toBe(1);
  await announce(version);
  await until("the copies to be dropped", async () => (await cache.get("user:43")) === undefined);
  expect(await cache.get("user:44")).toBe("Alan");
});

it("a load that runs meanwhile stores nothing", async () => {
  await using cache = open("tracking");
  await cache.set("user:43", "old", { tags: ["users"] });
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  let loads = 0;
  const load = async (): Promise<string> => {
    loads += 1;
    if (loads === 2) begun.resolve();
    await gate.promise;
    return "older";
  };
  const tagged = { tags: ["users"], forceRefresh: true };
  const answers = [cache.getOrSet("user:42", load), cache.getOrSet("user:43", load, tagged)];
  await begun.promise;
  await server.command("DEL", key, `${leaseOf}${key}}`);
  await server.command("EVAL", script, 2, issuer, version);
  gate.resolve();
  expect(await Promise.all(answers)).toEqual(["older", "older"]);
  await until("no copy", async () => (await cache.get("user:42")) === undefined);
  await until("no copy of a tag", async () => (await cache.get("user:43")) === undefined);
});

it("without an issuer there is nothing to invalidate", async () => {
  expect(await server.command("EVAL", script, 2, issuer, version)).toBe(0);
  expect(await server.command("KEYS", "*")).toEqual([]);
});
