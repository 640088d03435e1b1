import { startProxy, type OwnRedis } from "@hotset/test-servers";
import { createCache, memory, redis, type Cache } from "hotset";
import { middle, type Conditions, type Figure, type Trial } from "../trial.ts";
import { costOf, newKeys, type Cost } from "./cost.ts";
import { garbageOf } from "./garbage.ts";

const OPERATIONS = 300;
const BATCH = 100;
const LAYOUTS = ["full", "string"] as const;

/**
 * Entries as strings beside entries as hashes: commands, time and memory of Redis, and garbage of the client. None of
 * these depends on what else runs on the machine.
 */
export const stringLayout = ({ server, url, rounds }: Conditions): Trial => ({
  name: "string layout",
  async run() {
    const figures: Figure[] = [];
    for (const layout of LAYOUTS) {
      const name = layout === "full" ? "hash" : "string";
      await using proxy = await startProxy(server.port);
      const [writer, reader] = [true, false].map((keepsCopies) => {
        const cache = createCache({ name: `layout-${name}` });
        const backend = redis(proxy.url).layout(layout).build();
        return (keepsCopies ? cache.tier(memory({ maxEntries: 1_000 })) : cache)
          .tier(backend)
          .defaults({ ttl: "1h" })
          .build();
      }) as [Cache, Cache];
      await Promise.all([writer.connect(), reader.connect()]);
      const costs: Record<"miss" | "hit" | "batch", Cost[]> = { miss: [], hit: [], batch: [] };
      const value = "x".repeat(200);
      for (let round = 0; round <= rounds; round += 1) {
        const keys = newKeys(OPERATIONS);
        const measured = {
          miss: await costOf({ server, proxy }, keys, (key) => writer.getOrSet(key, () => value)),
          hit: await costOf({ server, proxy }, keys, (key) => reader.get(key)),
          batch: await costOf({ server, proxy }, keys.slice(0, 10), () => reader.getMany(keys.slice(0, BATCH))),
        };
        // The first one reads versions that are known afterwards.
        if (round !== 0) for (const what of ["miss", "hit", "batch"] as const) costs[what].push(measured[what]);
      }
      for (const [what, text] of [
        ["miss", "a miss with store"],
        ["hit", "a hit"],
        ["batch", `a batch of ${BATCH}`],
      ] as const) {
        const value = middle(costs[what].map(({ us }) => us)).value;
        figures.push({
          what: `${name}: ${text}: time of Redis`,
          unit: " us",
          value,
          remark:
            `${middle(costs[what].map(({ commands }) => commands)).value.toFixed(1)} commands: ` +
            `${costs[what].at(-1)!.names}`,
        });
      }
      figures.push(await memoryOf(server, writer, name));
      for (const [what, { bytes, promises }] of Object.entries(await garbageOf(url, layout)))
        if (what !== "nothing" && what !== "memory hit")
          figures.push({
            what: `${name}: garbage of a ${what}`,
            unit: " bytes",
            value: Math.round(bytes),
            remark: `${promises.toFixed(0)} promises`,
          });
      await Promise.all([writer.close(), reader.close()]);
    }
    return figures;
  },
});

/** For an entry with a value of 82 bytes. */
async function memoryOf(server: OwnRedis, cache: Cache, name: string): Promise<Figure> {
  await cache.set("memory", "x".repeat(80));
  const bytes = (await server.command("MEMORY", "USAGE", `hotset:layout-${name}::memory`)) as number;
  return { what: `${name}: memory of a value of 82 bytes`, unit: " bytes", value: bytes };
}
