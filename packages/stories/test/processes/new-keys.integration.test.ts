/** The budget of new keys in several real processes over a real Redis: what a flood leaves there. */
import { afterAll, expect, it } from "vitest";
import { Pool } from "../support/fleet.ts";

const pool = new Pool();
afterAll(() => pool.end());

const PROCESSES = 3;
const BURST = 20;

it("C747 a flood of random keys in three processes leaves the budget of each in Redis, and what was there", async () => {
  const servers = await pool.servers("single");
  const newKeys = { perSecond: 0, burst: BURST };
  await using fleet = await pool.open(servers, PROCESSES, { newKeys, memory: { maxEntries: 200 } });
  const [first, ...others] = fleet.members;
  for (let i = 0; i < 10; i += 1) await first!.getOrSet(`hot:${i}`, { value: i });
  const random = (process: number): readonly string[] =>
    Array.from({ length: 100 }, (_, i) => `random:${process}:${i}`);
  await Promise.all(
    fleet.members.map(async (member, process) => {
      for (const key of random(process)) expect(await member.getOrSet(key, { value: key })).toBe(key);
    }),
  );
  const stored = (await fleet.redis("KEYS", `${fleet.keyPrefix}:shop::random:*`)) as readonly unknown[];
  // The first process has spent ten of its own on what it uses.
  expect(stored).toHaveLength(PROCESSES * BURST - 10);
  for (const member of others)
    for (let i = 0; i < 10; i += 1) expect(await member.getOrSet(`hot:${i}`, { fails: "not loaded again" })).toBe(i);
  // A second miss, in any of them, is stored for all.
  const [late] = random(2).slice(-1);
  expect(await others[1]!.getOrSet(late!, { value: "second" })).toBe("second");
  expect(await first!.getOrSet(late!, { fails: "not loaded again" })).toBe("second");
});
