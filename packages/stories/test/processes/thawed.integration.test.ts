/** A process that is frozen while its connection ends: in real time, with a real signal. */
import { afterAll, expect, it } from "vitest";
import { type FaultProxy, until } from "@hotset/test-servers";
import { Pool, type Member } from "../support/fleet.ts";

const pool = new Pool();
afterAll(() => pool.end());

const KEYS = ["a", "b", "c", "d"];
/** Much longer than `maxStaleness`. */
const FROZEN_MS = 3_500;

it.each([
  ["idle", 0],
  ["with calls in flight", 6],
])(
  "C612: a process that was frozen %s, and whose connection was cut, serves nothing that was deleted meanwhile",
  async (_state, inFlight) => {
    await using fleet = await pool.open(await pool.servers("single"), 2, { maxStalenessMs: 2_000 });
    const [frozen, other] = fleet.members as [Member, Member];
    for (const key of KEYS) {
      await other.set(key, "old");
      await fleet.allHold(key, "old");
    }
    const proxy = (await fleet.servers.proxyOf(fleet.keyOf("a")))!;
    if (inFlight > 0) proxy.stall("toClient");
    const asked = Array.from({ length: inFlight }, (_, i) => frozen.get(`unknown ${i}`));
    if (inFlight > 0) await until("calls in flight", async () => countOfReads(proxy) >= inFlight);
    frozen.process.pause();
    const pausedAt = performance.now();
    proxy.cut();
    await proxy.pass();
    for (const key of KEYS)
      await until(`${key} to be deleted`, async () => (await other.delete(key)).status !== "pending");
    await new Promise((resolve) => setTimeout(resolve, FROZEN_MS - (performance.now() - pausedAt)));
    frozen.process.resume();
    const answers = await Promise.all(
      KEYS.map((key, i) => (i % 2 === 0 ? frozen.get(key) : frozen.getOrSet(key, { value: "new" }))),
    );
    expect(answers).toEqual([undefined, "new", undefined, "new"]);
    expect(await Promise.all(asked)).toEqual(asked.map(() => undefined));
  },
);

const countOfReads = (proxy: FaultProxy): number =>
  proxy.commands().filter((command) => command.some((text) => text.includes("::unknown "))).length;
