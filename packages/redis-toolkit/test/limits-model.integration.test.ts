import { createRedis } from "@hotset/redis-toolkit";
import {
  concurrency,
  fixedWindow,
  gcra,
  slidingCounter,
  slidingLog,
  tokenBucket,
  type Rule,
} from "@hotset/redis-toolkit/rate-limit";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import { LimitScript } from "../src/limits/limit-script.ts";
import { LocalCounts } from "../src/limits/local-counts.ts";
import { nameUnits, readUnits, type FreeAt } from "../src/limits/units.ts";
import { readVerdict, type Verdict } from "../src/limits/verdict.ts";
import { moduleOf } from "../src/module/module.ts";
import { ALONE } from "./servers.ts";

// The scripts of the rules against plain models, at times that the test sets: only its end, and not the life of a
// key, may then free a unit.

const server = await startOwnRedis();
const redis = createRedis({ ...ALONE, url: server.url });
afterAll(async () => {
  await redis.disconnect();
  await server.stop();
});

interface Step {
  readonly operation: "consume" | "peek" | "penalty" | "reward" | "giveBack";
  readonly cost: number;
  readonly passedMs: number;
  readonly free?: readonly FreeAt[];
}

const EPOCH_MS = 1_800_000_000_000;

/** Sends all steps at once. They are carried out in this order, since the server knows the scripts. */
async function run(rule: Rule, steps: readonly Step[]): Promise<readonly Verdict[]> {
  const script = new LimitScript([rule], { countRefused: false, blockForMs: 0 });
  const textOf = (operation: Step["operation"]): string =>
    script
      .text(operation)
      .replace("redis.call('TIME')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}")
      .replace("local lease = ARGV[#ARGV]", "local lease = ARGV[#ARGV - 2]")
      .replaceAll("'PX', reset1", "'PX', 3600000");
  const texts = {
    consume: textOf("consume"),
    peek: textOf("peek"),
    penalty: textOf("penalty"),
    reward: textOf("reward"),
    giveBack: textOf("giveBack"),
  };
  await Promise.all(Object.values(texts).map((text) => server.command("SCRIPT", "LOAD", text)));
  const keys = [`{${randomPrefix()}}block`, ""];
  keys[1] = keys[0]!.replace("block", "rule");
  let now = EPOCH_MS;
  return Promise.all(
    steps.map(({ operation, cost, passedMs, free }, i) => {
      now += passedMs;
      const time = [String(Math.floor(now / 1_000)), String((now % 1_000) * 1_000 + 999)];
      const args = [...script.args(cost, `lease-${i}`, free), ...time];
      return moduleOf(redis).runScript(texts[operation], keys, args, { decode: readVerdict, operation: undefined });
    }),
  );
}

const [LIMIT, WINDOW_MS] = [7, 3_600_000];

/** Steps of all sizes: within a slice, over several, over the window, and exactly at its boundary. */
const aStep = fc.record({
  operation: fc.constantFrom("consume", "consume", "consume", "peek", "penalty", "reward"),
  cost: fc.integer({ min: 1, max: LIMIT }),
  passedMs: fc.oneof(
    fc.constantFrom(0, 1, WINDOW_MS - 1, WINDOW_MS, WINDOW_MS + 1, WINDOW_MS / 10),
    fc.integer({ min: 0, max: WINDOW_MS / 4 }),
  ),
}) as fc.Arbitrary<Step>;
const someSteps = fc.array(aStep, { minLength: 1, maxLength: 60 });

const RUNS = { numRuns: 150 };

/** Instants of units, oldest first. */
class Log {
  #units: readonly number[] = [];

  count(now: number, spanMs = WINDOW_MS): number {
    return this.#units.filter((at) => at > now - spanMs).length;
  }

  fitsAt(now: number, cost: number): boolean {
    return this.count(now) + cost <= LIMIT;
  }

  add(now: number, cost: number): void {
    this.#units = [...this.#units.filter((at) => at > now - WINDOW_MS), ...Array<number>(cost).fill(now)].slice(-LIMIT);
  }

  takeBack(now: number, cost: number): void {
    const counted = this.#units.filter((at) => at > now - WINDOW_MS);
    this.#units = counted.slice(0, Math.max(0, counted.length - cost));
  }
}

it("A74: a sliding log is a plain log: any window holds at most the limit, and a wait is exact", async () => {
  await fc.assert(
    fc.asyncProperty(someSteps, async (steps) => {
      const verdicts = await run(slidingLog({ limit: LIMIT, window: WINDOW_MS }), steps);
      const log = new Log();
      let now = EPOCH_MS;
      steps.forEach(({ operation, cost, passedMs }, i) => {
        now += passedMs;
        const fits = log.fitsAt(now, cost);
        if (operation === "consume" ? fits : operation === "penalty") log.add(now, cost);
        if (operation === "reward") log.takeBack(now, cost);
        const asked = operation === "consume" || operation === "peek" ? cost : 1;
        const isAllowed =
          asked === cost && operation !== "penalty" && operation !== "reward" ? fits : log.fitsAt(now, 1);
        const { isAllowed: was, states, at } = verdicts[i]!;
        const [{ room, waitMs, resetMs }] = states as [Verdict["states"][0]];
        expect([at, was, room]).toEqual([now, isAllowed, LIMIT - log.count(now)]);
        expect(log.count(now + resetMs)).toBe(0);
        if (resetMs > 0) expect(log.count(now + resetMs - 1)).toBeGreaterThan(0);
        if (isAllowed) return expect(waitMs).toBe(0);
        expect(log.fitsAt(now + waitMs, asked)).toBe(true);
        expect(log.fitsAt(now + waitMs - 1, asked)).toBe(false);
      });
    }),
    RUNS,
  );
});

it("A74: a sliding counter never lets any window hold more than the limit, and is at most a slice behind", async () => {
  const slices = fc.integer({ min: 2, max: 12 });
  const calls = fc.array(
    aStep.map((step): Step => ({ ...step, operation: "consume" })),
    { minLength: 1, maxLength: 60 },
  );
  await fc.assert(
    fc.asyncProperty(calls, slices, async (steps, count) => {
      const verdicts = await run(slidingCounter({ limit: LIMIT, window: WINDOW_MS, slices: count }), steps);
      const sliceMs = Math.ceil(WINDOW_MS / count);
      const taken: number[] = [];
      const counted = (now: number, spanMs: number): number => taken.filter((at) => at > now - spanMs).length;
      let now = EPOCH_MS;
      steps.forEach(({ cost, passedMs }, i) => {
        now += passedMs;
        const { isAllowed, states } = verdicts[i]!;
        if (counted(now, WINDOW_MS + sliceMs) + cost <= LIMIT) expect(isAllowed).toBe(true);
        if (isAllowed) taken.push(...Array<number>(cost).fill(now));
        expect(counted(now, WINDOW_MS)).toBeLessThanOrEqual(LIMIT);
        const { room, resetMs } = states[0]!;
        expect(room).toBeLessThanOrEqual(LIMIT - counted(now, WINDOW_MS));
        expect(resetMs).toBeGreaterThanOrEqual(counted(now, WINDOW_MS) === 0 ? 0 : 1);
        expect(resetMs).toBeLessThanOrEqual(WINDOW_MS + sliceMs);
      });
    }),
    RUNS,
  );
});

it("A74: the wait of a sliding counter is exact after any calls", async () => {
  const rule = slidingCounter({ limit: LIMIT, window: WINDOW_MS, slices: 7 });
  await fc.assert(
    fc.asyncProperty(someSteps, async (steps) => {
      const full: Step = { operation: "consume", cost: LIMIT, passedMs: 0 };
      const refused: Step = { operation: "peek", cost: 3, passedMs: 100 };
      const waitMs = (await run(rule, [...steps, full, refused])).at(-1)!.states[0]!.waitMs;
      const [early, inTime] = [Math.max(waitMs - 1, 0), 1].map((passedMs): Step => ({ ...refused, passedMs }));
      const verdicts = await run(rule, [...steps, full, refused, early!, inTime!]);
      expect(verdicts.slice(-3).map(({ isAllowed }) => isAllowed)).toEqual([waitMs === 0, waitMs === 0, true]);
    }),
    RUNS,
  );
});

it.each([
  ["token bucket", tokenBucket({ limit: LIMIT, refill: WINDOW_MS, burst: 11 })],
  ["GCRA", gcra({ limit: LIMIT, window: WINDOW_MS, burst: 11 })],
])("A74: a %s holds exactly what a model in whole fractions holds", async (_, rule) => {
  const window = BigInt(WINDOW_MS);
  const [full, floor] = [11n * window, -11n * window];
  const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
  await fc.assert(
    fc.asyncProperty(someSteps, async (steps) => {
      const verdicts = await run(rule, steps);
      let parts = full;
      steps.forEach(({ operation, cost, passedMs }, i) => {
        parts = least(full, parts + BigInt(passedMs * LIMIT));
        const price = BigInt(cost) * window;
        const { isAllowed, states } = verdicts[i]!;
        const { room, waitMs, resetMs } = states[0]!;
        if (operation === "consume" || operation === "peek") expect(isAllowed).toBe(parts >= price);
        if (operation === "consume" && isAllowed) parts -= price;
        if (operation === "penalty") parts = parts - price < floor ? floor : parts - price;
        if (operation === "reward") parts = least(full, parts + price);
        const whole = parts >= 0n ? parts / window : -((-parts + window - 1n) / window);
        expect(room).toBe(Number(whole));
        const isBack = (afterMs: number, wanted: bigint): boolean => parts + BigInt(afterMs * LIMIT) >= wanted;
        expect([isBack(resetMs, full), resetMs > 0 && isBack(resetMs - 1, full)]).toEqual([true, false]);
        if (operation === "consume" && !isAllowed)
          expect([isBack(waitMs, price), isBack(waitMs - 1, price)]).toEqual([true, false]);
      });
    }),
    RUNS,
  );
});

it("A74: 100,000 polls of a bucket, one each millisecond, neither lose nor win a token", async () => {
  // 7 in a second: a token takes 142.857... ms.
  const rule = tokenBucket({ limit: 7, refill: "1s" });
  const polls = 100_000;
  const steps = Array.from({ length: polls }, (_, i): Step => ({
    operation: "consume",
    cost: 1,
    passedMs: i === 0 ? 0 : 1,
  }));
  const verdicts = await run(rule, steps);
  expect(verdicts.filter(({ isAllowed }) => isAllowed)).toHaveLength(7 + Math.floor(((polls - 1) * 7) / 1_000));
});

it("a clock of the server that was set back holds nothing for longer than two buckets", async () => {
  const rule = tokenBucket({ limit: 10, refill: "1m" });
  const [before, after] = await run(rule, [
    { operation: "consume", cost: 10, passedMs: 3_600_000 },
    { operation: "peek", cost: 1, passedMs: -3_600_000 },
  ]);
  expect(before!.isAllowed).toBe(true);
  expect(after).toMatchObject({ isAllowed: false, states: [{ room: -10, resetMs: 120_000 }] });
});

const BEGIN: Step = { operation: "consume", cost: 5, passedMs: 0 };
const RULES = {
  "fixed window": fixedWindow({ limit: 5, window: WINDOW_MS }),
  "sliding log": slidingLog({ limit: 5, window: WINDOW_MS }),
  "sliding counter": slidingCounter({ limit: 5, window: WINDOW_MS }),
  "token bucket": tokenBucket({ limit: 5, refill: WINDOW_MS }),
  GCRA: gcra({ limit: 5, window: WINDOW_MS }),
} satisfies Record<string, Rule>;
const freeOf = (verdict: Verdict): readonly FreeAt[] => readUnits(nameUnits("redis", 1, verdict), 1).free;
const room = (verdicts: readonly Verdict[]): number => verdicts.at(-1)!.states[0]!.room;

it.each(Object.entries(RULES))(
  "A104: units of a %s that are free again are given back to no other call",
  async (_, rule) => {
    // With the slice of a counter.
    const passedMs = WINDOW_MS * 1.1;
    const [first] = await run(rule, [BEGIN]);
    const late: Step = { operation: "giveBack", cost: 5, passedMs: 0, free: freeOf(first!) };
    const verdicts = await run(rule, [BEGIN, { ...BEGIN, passedMs }, late, { ...BEGIN, cost: 1 }]);
    expect(verdicts.map(({ isAllowed }) => isAllowed)).toEqual([true, true, false, false]);
    expect(room(verdicts)).toBe(0);
  },
);

it.each(Object.entries(RULES))(
  "A104: units of a %s that still count are given back, once those of others stay",
  async (_, rule) => {
    const two: Step = { ...BEGIN, cost: 2 };
    const [one, other] = await run(rule, [two, two]);
    const giveBack = (verdict: Verdict): Step => ({ ...two, operation: "giveBack", free: freeOf(verdict) });
    expect(room(await run(rule, [two, two, giveBack(one!)]))).toBe(3);
    expect(room(await run(rule, [two, two, giveBack(other!), giveBack(one!)]))).toBe(5);
    expect(room(await run(rule, [two, two, two, giveBack(one!)]))).toBe(3);
  },
);

it("A104: what a bucket has refilled meanwhile is not given back again", async () => {
  const rule = tokenBucket({ limit: 5, refill: WINDOW_MS });
  const [first] = await run(rule, [BEGIN]);
  // Three of the five have come back, and three others were taken.
  const others: Step = { ...BEGIN, cost: 3, passedMs: (WINDOW_MS / 5) * 3 };
  const late: Step = { operation: "giveBack", cost: 5, passedMs: 0, free: freeOf(first!) };
  const verdicts = await run(rule, [BEGIN, others, late]);
  expect(verdicts.map(({ states }) => states[0]!.room)).toEqual([0, 0, 2]);
});

it.each([
  ...Object.entries(RULES),
  ["bucket with a burst", tokenBucket({ limit: 7, refill: WINDOW_MS, burst: 11 })] as const,
  ["slots", concurrency({ limit: 7, hold: WINDOW_MS })] as const,
])("A76: in memory a %s decides as its script does, after any steps", async (_, rule) => {
  const most = rule.capacity;
  const steps = fc.array(
    fc.record({
      operation: fc.constantFrom("consume", "consume", "consume", "peek", "penalty", "reward", "giveBack"),
      cost: fc.integer({ min: 1, max: most }),
      passedMs: aStep.map(({ passedMs }) => passedMs),
      which: fc.nat(),
    }),
    { minLength: 1, maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (drawn) => {
      const local = new LocalCounts([rule], { processes: 1, maxKeys: 1 });
      const taken: { readonly cost: number; readonly free: readonly FreeAt[] }[] = [];
      const sent: Step[] = [];
      let now = EPOCH_MS;
      const decided = drawn.map(({ which, ...step }, i) => {
        now += step.passedMs;
        const back = taken[which % Math.max(1, taken.length)];
        if (step.operation === "giveBack" && back === undefined) step.operation = "peek";
        const whole = { ...step, ...(step.operation === "giveBack" && back) } as Step;
        sent.push(whole);
        const verdict = local.decide({ ...whole, key: "u", lease: `lease-${i}` }, now);
        if (whole.operation === "consume" && verdict.isAllowed) taken.push({ cost: whole.cost, free: freeOf(verdict) });
        return verdict;
      });
      expect(decided).toEqual(await run(rule, sent));
    }),
    RUNS,
  );
});
