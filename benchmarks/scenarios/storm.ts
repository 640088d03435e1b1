import { forkScript } from "@hotset/test-servers";
import type { CacheProcess } from "../processes/cache-process.ts";
import type { WriterProcess } from "../processes/writer-process.ts";
import { middle, type Conditions, type Figure, type Trial } from "../trial.ts";

const CACHE_PROCESS = new URL("../processes/cache-process.ts", import.meta.url);
const WRITER_PROCESS = new URL("../processes/writer-process.ts", import.meta.url);
const PER_SECOND = 20_000;
const FOR_MS = 2_000;
const COUNT = (PER_SECOND * FOR_MS) / 1_000;

/** The foreign program writes keys of another cache, or keys that are copied here. */
const STEMS = [
  ["unmatched", "hotset:elsewhere::k"],
  ["matched", "hotset:storm::other:"],
] as const;
type Kind = (typeof STEMS)[number][0];

/** One element for each round. */
interface Rounds {
  readonly idle: number[];
  readonly idleDelays: number[];
  readonly rates: number[];
  readonly delays: number[];
  longest: number;
}

/**
 * Hits from memory while a program without the library writes 20,000 keys a second below the tracked prefix: keys of
 * another cache, or keys of which this process has a copy each time and loses it.
 */
export const foreignInvalidations = ({ url, rounds }: Conditions): Trial => ({
  name: "20,000 foreign invalidations a second",
  async run() {
    await using reader = forkScript<CacheProcess>(CACHE_PROCESS);
    await using writer = forkScript<WriterProcess>(WRITER_PROCESS);
    await reader.call("open", { url, name: "storm", maxEntries: COUNT + 10_000 });
    await reader.call("fill", "hot", 0, 1_000);
    await reader.call("fill", "other", 0, COUNT);
    const hits = () => reader.call("hits", "hot", 1_000, FOR_MS);
    const under = { unmatched: noRounds(), matched: noRounds() };
    const written: number[] = [];
    for (let round = -1; round < Math.min(rounds, 5); round += 1) {
      for (const [kind, stem] of STEMS) {
        // Idle with the same copies: hits in a larger cache miss the processor's caches more often.
        const hold = async (): Promise<void> => {
          await reader.call("hold", "hot", 0, 1_000);
          if (kind === "matched") await reader.call("hold", "other", 0, COUNT);
        };
        await hold();
        const quiet = await hits();
        await hold();
        const [writes, read] = await Promise.all([writer.call("write", url, stem, 0, COUNT, PER_SECOND), hits()]);
        const left = kind === "matched" ? await reader.call("held", "other", 0, COUNT) : 0;
        if (left !== 0) throw new Error(`${left} copies outlived a write of their keys`);
        if (round < 0) continue;
        written.push(writes.perSecond);
        under[kind].idle.push(quiet.perSecond);
        under[kind].idleDelays.push(quiet.delayP99Ms);
        under[kind].rates.push(read.perSecond / quiet.perSecond);
        under[kind].delays.push(read.delayP99Ms);
        under[kind].longest = Math.max(under[kind].longest, read.delayMaxMs);
      }
    }
    await reader.call("close");
    return [
      { what: "writes", unit: "/s", ...middle(written) },
      ...STEMS.flatMap(([kind]) => figuresOf(kind, under[kind])),
    ];
  },
});

function noRounds(): Rounds {
  return { idle: [], idleDelays: [], rates: [], delays: [], longest: 0 };
}

function figuresOf(kind: Kind, { idle, idleDelays, rates, delays, longest }: Rounds): readonly Figure[] {
  const delay = middle(delays);
  const copies = kind === "matched" ? COUNT + 1_000 : 1_000;
  return [
    { what: `memory hits, idle, ${copies} copies`, unit: "/s", ...middle(idle) },
    { what: "loop delay p99, idle", unit: " ms", ...middle(idleDelays) },
    { what: `memory hits, ${kind} keys written`, unit: " of idle", ...middle(rates), atLeast: 0.8 },
    {
      what: `loop delay p99, ${kind}`,
      unit: " ms",
      value: delay.value,
      remark: `${delay.remark}; longest ${longest.toFixed(1)} ms`,
      atMost: 5,
    },
  ];
}
