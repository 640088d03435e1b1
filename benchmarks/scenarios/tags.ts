import { setTimeout as sleep } from "node:timers/promises";
import { forkScript } from "@hotset/test-servers";
import { createCache, memory, redis } from "hotset";
import type { CacheProcess } from "../processes/cache-process.ts";
import { middle, type Conditions, type Figure, type Trial } from "../trial.ts";

const CACHE_PROCESS = new URL("../processes/cache-process.ts", import.meta.url);

/**
 * The cost of an invalidation over few entries and over many. Each round takes a tag that all of them carry, and that
 * is not invalidated yet.
 */
export const invalidationOverMany = ({ url, rounds }: Conditions): Trial => ({
  name: "invalidateTags over 100,000 entries",
  async run() {
    const figures: Figure[] = [];
    const medians: number[] = [];
    const tags = Array.from({ length: rounds + 2 }, (_, i) => `group:${i}`);
    for (const entries of [1_000, 100_000]) {
      const cache = createCache({ name: `tagged-${entries}` })
        .tier(memory({ maxEntries: 200_000 }))
        .tier(redis(url).build())
        .defaults({ ttl: "1h" })
        .build();
      const keys = Array.from({ length: entries }, (_, i) => `user:${i}`);
      for (let from = 0; from < entries; from += 500)
        await cache.setMany(
          keys.slice(from, from + 500).map((key) => [key, { id: key }] as const),
          { tags },
        );
      await sleep(100);
      const heldBefore = keys.filter((key) => cache.peek(key) !== undefined).length;
      if (heldBefore < entries * 0.9) throw new Error(`only ${heldBefore} of ${entries} entries are held here`);
      const took: number[] = [];
      for (const [round, tag] of tags.entries()) {
        await sleep(20);
        const startedAt = performance.now();
        const { status } = await cache.invalidateTags(tag);
        const tookMs = performance.now() - startedAt;
        if (status !== "done") throw new Error(`an invalidation was ${status}`);
        if (round >= 2) took.push(tookMs);
      }
      if (cache.peek(keys[0]!) !== undefined || (await cache.get(keys.at(-1)!)) !== undefined)
        throw new Error("an entry outlived the invalidation of its tags");
      await cache.close();
      const { value, remark } = middle(took);
      medians.push(value);
      figures.push({ what: `over ${entries.toLocaleString("en")} entries`, unit: " ms", value, remark, atMost: 2 });
    }
    return [...figures, { what: "many to few", unit: " times", value: medians[1]! / medians[0]! }];
  },
});

const KINDS = ["known", "new"] as const;
type Kind = (typeof KINDS)[number];

/** One element for each round. */
interface Misses {
  readonly here: number[];
  readonly elsewhere: number[];
  readonly quiet: number[];
  readonly loading: number[];
}

/** The cost of the first use of a tag such as `user:42`, here and in another process, compared with a known tag. */
export const firstUseOfTags = ({ url, rounds }: Conditions): Trial => ({
  name: "first use of a tag",
  async run() {
    await using user = forkScript<CacheProcess>(CACHE_PROCESS);
    await using other = forkScript<CacheProcess>(CACHE_PROCESS);
    await Promise.all(
      [user, other].map((each) => each.call("open", { url, name: "dynamic-tags", maxEntries: 50_000 })),
    );
    await other.call("fill", "hot", 0, 1_000);
    const perMiss: Record<Kind, Misses> = {
      known: { here: [], elsewhere: [], quiet: [], loading: [] },
      new: { here: [], elsewhere: [], quiet: [], loading: [] },
    };
    const idle: number[] = [];
    for (let round = -1; round < Math.min(rounds, 5); round += 1) {
      await other.call("hold", "hot", 0, 1_000);
      const { perSecond } = await other.call("hits", "hot", 1_000, 1_000, 4);
      if (round >= 0) idle.push(perSecond);
      for (const kind of KINDS) {
        const before = await other.call("processorMs");
        const { tookMs } = await user.call("misses", `${kind}-${round}`, 3_000, kind);
        const elsewhereMs = (await other.call("processorMs")) - before;
        // Hits there while this goes on, without loads of its own and with some in flight.
        const rates = [];
        for (const loadsInFlight of [0, 4]) {
          await other.call("hold", "hot", 0, 1_000);
          const [, hits] = await Promise.all([
            user.call("missesPaced", `${kind}-${round}-${loadsInFlight}`, 2_000, 1_000, kind),
            other.call("hits", "hot", 1_000, 1_000, loadsInFlight),
          ]);
          rates.push(hits.perSecond);
        }
        if (round < 0) continue;
        perMiss[kind].here.push((tookMs / 3_000) * 1_000);
        perMiss[kind].elsewhere.push((elsewhereMs / 3_000) * 1_000);
        perMiss[kind].quiet.push(rates[0]!);
        perMiss[kind].loading.push(rates[1]!);
      }
    }
    await Promise.all([user, other].map((each) => each.call("close")));
    return figuresOf(perMiss, idle);
  },
});

function figuresOf(perMiss: Readonly<Record<Kind, Misses>>, idle: readonly number[]): readonly Figure[] {
  return [
    ...KINDS.map((kind) => ({
      what: `a miss under a ${kind} tag, in the loading process`,
      unit: " us",
      ...middle(perMiss[kind].here),
    })),
    ...KINDS.map((kind) => ({
      what: `processor time in another process, ${kind} tag`,
      unit: " us",
      ...middle(perMiss[kind].elsewhere),
    })),
    ...(["quiet", "loading"] as const).flatMap((of) =>
      KINDS.map((kind) => ({
        what: `hits there${of === "loading" ? ", loads in flight" : ""}: 2,000 misses/s, ${kind} tags`,
        unit: " of idle",
        value: middle(perMiss[kind][of]).value / middle(idle).value,
      })),
    ),
  ];
}
