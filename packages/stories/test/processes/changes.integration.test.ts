/** Changes by one process, and loads, reads, copies and stale copies in another. */
import { until, type ReadonlyCommand } from "@hotset/test-servers";
import { existsSync } from "node:fs";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadsNow, PATIENCE, Pool, type Fleet, type Member } from "../support/fleet.ts";
import { TOPOLOGIES, type FleetServers } from "@hotset/test-servers";
import { READ } from "../support/stored-entries.ts";

const pool = new Pool();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hotset-processes-"));
});
afterAll(async () => {
  await pool.end();
  await rm(folder, { recursive: true });
});

/** Cluster nodes forward messages: a late duplicate may remove the copy just before the process is blocked. */
const ATTEMPTS = 4;
/** The loads that no call may wait for never end. */
const SOON_MS = 6_000;

type Change = readonly [what: string, change: (by: Member) => Promise<{ readonly status: string }>, left: unknown];
const CHANGES: readonly Change[] = [
  ["delete", (by) => by.delete("k"), undefined],
  ["set", (by) => by.set("k", "set", { tags: ["t"] }), "set"],
  ["invalidateTags", (by) => by.invalidateTags("t"), undefined],
  ["clear", (by) => by.clear(), undefined],
];

describe.each(TOPOLOGIES)("over %s", (topology) => {
  let servers: FleetServers;
  beforeAll(async () => {
    servers = await pool.servers(topology);
  });

  it.for(CHANGES)(
    "C61 C59 C60 C66: after %s in one process no call joins or waits for an older load of another, and its result is not kept",
    async ([what, change, left]) => {
      await using fleet = await pool.open(servers, 3);
      const [loading, changing, third] = fleet.members as [Member, Member, Member];
      const before = loading.getOrSet("k", { gate: "k", value: "older" }, { tags: ["t"] });
      await loadsNow(loading, "k");
      expect((await change(changing)).status).toMatch(/^(stored|missing|done)$/);
      // A call that follows the message knows of the change.
      await fleet.receivesMessages("k");
      const after = await Promise.all(
        [loading, third].map((member) => member.serve("k", { value: "newer" }, { tags: ["t"] })),
      );
      const expected = left ?? "newer";
      expect(after).toEqual([
        expect.objectContaining({ value: expected }),
        expect.objectContaining({ value: expected }),
      ]);
      for (const { ms } of after) expect(ms, what).toBeLessThan(SOON_MS);
      await loading.openGate("k");
      expect(await before).toBe("older");
      for (const member of fleet.members) {
        expect(await member.get("k")).toBe(expected);
        expect([undefined, expected]).toContain(await member.peek("k"));
      }
      expect(await fleet.stored("k")).toBe(JSON.stringify(expected));
      expect((await fleet.loads("k")).length).toBe(left === undefined ? 2 : 1);
    },
  );

  it.for<readonly [mode: "tracking" | "pubsub"]>([["tracking"], ["pubsub"]])(
    "a current read after a change answers nothing older, also before its message has arrived (%s)",
    async ([coherence]) => {
      await using fleet = await pool.open(servers, 2, { coherence });
      const [changing, reading] = fleet.members as [Member, Member];
      const cases: readonly (readonly [...Change, got: unknown])[] = CHANGES.map((each) => [
        ...each,
        each[2] ?? "loaded",
      ]);
      for (const [what, change, , got] of cases) {
        let peeked: unknown;
        for (let attempt = 0; peeked !== "old" && attempt < ATTEMPTS; attempt += 1) {
          await changing.set("k", "old", { tags: ["t"] });
          await fleet.allHold("k", "old");
          // All messages until now have arrived.
          await reading.getMany(["k", "something else", "another thing"]);
          await fleet.allHold("k", "old");
          const [begun, end] = ["begun", "end"].map((name) =>
            join(folder, `${topology} ${coherence} ${what} ${attempt} ${name}`),
          ) as [string, string];
          const blocked = reading.blocked("k", begun, end);
          await until("a process whose loop is blocked", PATIENCE.timeout, () => Promise.resolve(existsSync(begun)));
          await change(changing);
          await writeWhole(end, "read");
          const outcome = await blocked;
          expect(outcome.got, what).toBe(got);
          peeked = outcome.peeked;
        }
        expect(peeked, what).toBe("old");
      }
    },
  );
});

describe.each(["single", "cluster"] as const)("over %s, of which every reply can be held up", (topology) => {
  let servers: FleetServers;
  beforeAll(async () => {
    servers = await pool.servers(topology);
  });

  it.for(CHANGES)(
    "C62 C63: a read in flight that %s elsewhere overtook leaves no copy",
    async ([what, change, left]) => {
      await using fleet = await pool.open(servers, 2);
      const [changing, reading] = fleet.members as [Member, Member];
      await changing.set("k", "old", { tags: ["t"] });
      for (const begin of [() => reading.get("k"), () => reading.getOrSet("k", { value: "loaded" }, { tags: ["t"] })]) {
        const hold = (await servers.proxyOf(fleet.keyOf("k")))!.hold(reads(fleet, "k"), "reply");
        const read = begin();
        await hold.reached;
        await change(changing);
        hold.release();
        // It began before: any value of that time is an answer.
        expect(["old", left, "loaded"]).toContain(await read);
        await fleet.receivesMessages("k");
        expect(await reading.peek("k"), what).not.toBe("old");
        expect(await reading.get("k"), what).not.toBe("old");
        await changing.delete("k");
        await changing.set("k", "old", { tags: ["t"] });
      }
    },
  );

  it("C64: a write that was stuck in a connection does not come after a later one over the next", async () => {
    await using fleet = await pool.open(servers, 2, { responseTimeoutMs: 2_500, maxStalenessMs: 2_000 });
    const [writing, other] = fleet.members as [Member, Member];
    const proxy = (await servers.proxyOf(fleet.keyOf("k")))!;
    const hold = proxy.hold((command) => command.some((text) => text.includes("stuck")));
    expect(await writing.set("k", "stuck")).toEqual({ status: "pending" });
    await hold.reached;
    await fleet.inStep();
    expect(await writing.set("k", "newer")).toMatchObject({ status: "stored" });
    const open = proxy.openConnections;
    hold.release();
    await expect.poll(() => proxy.openConnections, PATIENCE).toBeLessThan(open);
    for (let i = 0; i < 20; i += 1) {
      expect(await fleet.stored("k")).toBe('"newer"');
      expect([await writing.get("k"), await other.get("k")]).toEqual(["newer", "newer"]);
    }
  });
});

const reads =
  (fleet: Fleet, key: string) =>
  ([name, redisKey]: ReadonlyCommand): boolean =>
    name === READ && redisKey === fleet.keyOf(key);

async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.next`, text);
  await rename(`${path}.next`, path);
}
