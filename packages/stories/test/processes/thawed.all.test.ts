import { type FaultProxy, type FleetServers, until } from "@hotset/test-servers";
/** A process that is frozen while its connection ends: in real time, with a real signal. */
import { afterAll, describe, expect, it } from "vitest";
import { Pool, type Member } from "../support/fleet.ts";

const pool = new Pool();
afterAll(() => pool.end());

const KEYS = ["deleted", "replaced", "tagged", "old page", "removed", "gone"];
/** Much longer than `maxStaleness`. */
const FROZEN_MS = 3_500;

/** How the connections of the process end. */
const ENDS: readonly (readonly [string, (proxy: FaultProxy, servers: FleetServers) => unknown])[] = [
  ["was cut", (proxy) => proxy.cut()],
  [
    "was ended by Redis",
    async (_, servers) => (await servers.primaryOf("")).command("CLIENT", "KILL", "TYPE", "normal"),
  ],
  ["fell silent", (proxy) => proxy.swallow()],
];

describe.each(ENDS)("C612: a process that was frozen, and whose connection %s", (_end, end) => {
  it.each([
    ["idle", 0],
    ["with calls in flight", 6],
  ])("%s, serves nothing that was changed meanwhile", async (_state, inFlight) => {
    await using fleet = await pool.open(await pool.servers("single"), 2, { maxStalenessMs: 2_000 });
    const [frozen, other] = fleet.members as [Member, Member];
    for (const key of KEYS) {
      await other.set(key, "old", { tags: [key] });
      await fleet.allHold(key, "old");
    }
    const proxy = (await fleet.servers.proxyOf(fleet.keyOf("a")))!;
    if (inFlight > 0) proxy.stall("toClient");
    const asked = Array.from({ length: inFlight }, (_, i) => frozen.get(`unknown ${i}`));
    const arrived = (): number => proxy.commands().filter((command) => command.join().includes("::unknown ")).length;
    await until("calls in flight", async () => arrived() >= inFlight);
    frozen.process.pause();
    const pausedAt = performance.now();
    await end(proxy, fleet.servers);
    await proxy.pass();
    const changes = [
      ...["deleted", "removed", "gone"].map((key) => () => other.delete(key)),
      () => other.set("replaced", "new"),
      () => other.invalidateTags("tagged", "old page"),
    ];
    for (const change of changes) await until("the change", async () => (await change()).status !== "pending");
    await new Promise((resolve) => setTimeout(resolve, FROZEN_MS - (performance.now() - pausedAt)));
    frozen.process.resume();
    const answers = await Promise.all([
      frozen.get("deleted"),
      frozen.get("replaced"),
      frozen.getOrSet("tagged", { value: "loaded" }),
      frozen.getStale("old page"),
      frozen.getMany(["removed"]),
      frozen.getOrSetMany(["gone"], "loaded"),
    ]);
    expect(answers).toEqual([undefined, "new", "loaded", undefined, new Map(), new Map([["gone", "loaded"]])]);
    expect(await Promise.all(asked)).toEqual(asked.map(() => undefined));
  });
});
