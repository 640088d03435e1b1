/** A process that is frozen while its connection ends: in real time, with a real signal. */
import { afterAll, expect, it } from "vitest";
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
  "C612: a process that was frozen %s, and whose connection was killed, serves nothing that was deleted meanwhile",
  async (_state, inFlight) => {
    await using fleet = await pool.open(await pool.servers("single"), 2);
    const [frozen, other] = fleet.members as [Member, Member];
    for (const key of KEYS) {
      await other.set(key, "old");
      await fleet.allHold(key, "old");
    }
    const server = await fleet.servers.primaryOf(fleet.keyOf("a"));
    if (inFlight > 0) await server.command("CLIENT", "PAUSE", 500, "ALL");
    const asked = Array.from({ length: inFlight }, (_, i) => frozen.get(`unknown ${i}`));
    // Long enough for them to be sent, and shorter than the pause.
    await new Promise((resolve) => setTimeout(resolve, 100));
    frozen.process.pause();
    const pausedAt = performance.now();
    for (const key of KEYS) await other.delete(key);
    await server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await new Promise((resolve) => setTimeout(resolve, FROZEN_MS - (performance.now() - pausedAt)));
    frozen.process.resume();
    const answers = await Promise.all(
      KEYS.map((key, i) => (i % 2 === 0 ? frozen.get(key) : frozen.getOrSet(key, { value: "new" }))),
    );
    expect(answers).toEqual([undefined, "new", undefined, "new"]);
    expect(await Promise.all(asked)).toEqual(asked.map(() => undefined));
  },
);
