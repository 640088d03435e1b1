/** A runtime must be able to do this: `shared` next to `program.ts deletes`, another process over one Redis. */
import { CacheError, createCache, memory, redis } from "hotset";

const [role, url = "", prefix = ""] = process.argv.slice(2);
const cache = createCache({ name: "runtimes" })
  .tier(memory())
  .tier(redis(url).keyPrefix(prefix).build())
  .defaults({ ttl: "1m" })
  .build();
let loads = 0;
const load = (): object => ({ at: new Date(0), total: 12n, load: ++loads });
const say = (line: object): void =>
  console.log(JSON.stringify(line, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value)));

if (role === "deletes") {
  say({ found: await cache.get("order") });
  await cache.delete("order");
  await cache.invalidateTags("orders");
} else {
  const alone = createCache({ name: "alone" }).tier(memory()).build();
  const together = await Promise.all([1, 2, 3].map(() => alone.getOrSet("k", load, { tags: ["t"], ttl: "1m" })));
  await alone.invalidateTags("t");
  const after = await alone.getOrSet("k", load, { ttl: "1m" });
  const refused: unknown = await alone.getOrSet("", load, { ttl: "1m" }).catch((error: unknown) => error);
  await alone.close();
  say({ together, after, isTyped: refused instanceof CacheError });

  loads = 0;
  await cache.getOrSet("order", load);
  await cache.getOrSet("tagged", load, { tags: ["orders"] });
  say({ copy: await cache.get("order") });
  const deadline = Date.now() + 20_000;
  while ((await cache.has("order")) || (await cache.has("tagged"))) {
    if (Date.now() > deadline) throw new Error("the other process's delete never arrived");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  say({ loads, isGone: true });
}
await cache.close();
