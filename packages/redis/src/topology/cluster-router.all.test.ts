import { TestClock, flush } from "@hotset/testing";
import { afterEach, expect, it, vi } from "vitest";
import type { ChangeHub } from "../changes/change-hub.ts";
import { CommandQueue } from "../connection/command-queue.ts";
import { send } from "../connection/link.ts";
import { SingleLink } from "../connection/single-link.ts";
import { slotOf, type SlotRange } from "../primitives/hash-slots.ts";
import { ClusterRouter } from "./cluster-router.ts";
import { readTopology } from "./cluster-topology.ts";

/** In place of the nodes. */
const servers = vi.hoisted(() => ({ replies: [] as unknown[], topology: [] as readonly SlotRange[] }));
vi.mock(import("./cluster-topology.ts"), async (original) => ({
  ...(await original()),
  topologyFromSeeds: () => Promise.resolve(servers.topology),
}));
vi.mock(import("../connection/link.ts"), async (original) => ({
  ...(await original()),
  send: vi.fn(async () => {
    const reply = servers.replies.shift();
    if (reply instanceof Error) throw reply;
    return reply;
  }),
}));

const LAST = 16_383;
const KEY = "hotset:shop::1";
const SLOT = slotOf(KEY);
/** Keys of the slots 8 and 5,000. */
const SAMPLES = Object.entries({ slot8: "hotset:shop::27823", slot5000: "hotset:shop::3135" });
const range = (from: number, to: number, port: number): SlotRange => ({
  from,
  to,
  primary: { host: "127.0.0.1", port },
  replicas: [],
});

let said: string[];
let router: ClusterRouter;
let random: () => number;
const clock = new TestClock();
/** What is said about the changes of each part, by its port. */
function routing(...topology: readonly SlotRange[]): void {
  const readFromReplicas = topology.some(({ replicas }) => replicas.length !== 0);
  said = [];
  random = () => 0;
  const note = (what: string) => (part?: string) => void said.push(`${what} ${part?.split(":")[1]}`);
  const lost = note("lost");
  const everythingChanged = (part?: string, concerns: (key: string) => boolean = () => true): void =>
    note(`changed in ${SAMPLES.flatMap(([name, key]) => (concerns(key) ? [name] : [])).join(" ")}:`)(part);
  const hub = { topics: () => [], everythingChanged, replaced: note("replaced"), moved: () => undefined };
  const tracking = { ...hub, lost: (_: Error, part?: string) => lost(part) } as unknown as ChangeHub;
  const channel = new Proxy(tracking, { get: () => () => undefined });
  router = new ClusterRouter(
    {
      seeds: [],
      prepare: () => Promise.resolve(),
      node: { database: 0, protocol: 3, connectTimeoutMs: 1_000, clock },
      link: {
        clock,
        random: () => random(),
        responseTimeoutMs: 1_000,
        maxInFlight: 100,
        backoff: { baseMs: 1_000, factor: 1, maxMs: 1_000 },
        retries: Infinity,
      },
      readFromReplicas,
    },
    topology,
    { tracking, channel },
  );
}
afterEach(async () => {
  vi.restoreAllMocks();
  await router.close();
});

async function learns(...topology: readonly SlotRange[]): Promise<void> {
  servers.topology = topology;
  clock.advance(1_000);
  router.refresh();
  await flush();
}

it("ends the trust in the copies of slots that a primary has lost to one that is new", async () => {
  routing(range(0, 8_000, 1), range(8_001, LAST, 2));
  await learns(range(0, 100, 3), range(101, 8_000, 1), range(8_001, LAST, 2));
  expect(said).toEqual(["changed in slot8: 1", "replaced 3"]);
});

it("ends the trust in the copies of slots that no node serves now: later another one does", async () => {
  routing(range(0, 8_000, 1), range(8_001, LAST, 2));
  await learns(range(101, 8_000, 1), range(8_001, LAST, 2));
  expect(said).toEqual(["changed in slot8: 1"]);
});

it("reports a primary that serves nothing any more as lost, and no other", async () => {
  routing(range(0, 8_000, 1), range(8_001, LAST, 2));
  await learns(range(0, 8_000, 3), range(8_001, LAST, 2));
  expect(said).toEqual(["lost 1", "changed in slot8 slot5000: 1", "replaced 3"]);
});

it("reports the primary that had the slot last as lost, where a former one names a new one", async () => {
  routing(range(0, LAST - 1, 1), range(LAST, LAST, 2));
  servers.topology = [range(0, LAST - 1, 1), range(LAST, LAST, 2)];
  servers.replies = [new Error(`MOVED ${SLOT} 127.0.0.1:2`), new Error(`MOVED ${SLOT} 127.0.0.1:3`), "one", "two"];
  const both = Promise.all([router.sendCommand(["GET", KEY]), router.sendCommand(["GET", KEY])]);
  expect(await both).toEqual(["one", "two"]);
  expect(said.slice(0, 3)).toEqual(["changed in : 1", "lost 2", "replaced 3"]);
});

it("learns of a slot from MOVED: its copies alone are not trusted, and heartbeats ask for the others", async () => {
  routing(range(0, 9_000, 1), range(9_001, LAST, 2));
  const asked = vi.spyOn(router, "refresh");
  for (const [name, key] of SAMPLES) {
    servers.replies = [new Error(`MOVED ${slotOf(key)} 127.0.0.1:2`), name];
    expect(await router.sendCommand(["GET", key])).toBe(name);
  }
  expect(said).toEqual(["changed in slot8: 1", "changed in slot5000: 1"]);
  expect(asked).not.toHaveBeenCalled();
});

it("keeps the connection of a node that has no slot yet, while the topology stays as it is", async () => {
  const topology = (replica: number, other: number): readonly SlotRange[] => {
    const replicas = [replica, other].map((port) => ({ host: "127.0.0.1", port }));
    return [{ ...range(0, LAST, 1), replicas }];
  };
  routing(...topology(5, 6));
  servers.replies = [new Error(`ASK ${SLOT} 127.0.0.1:3`), "moved"];
  expect(await router.sendCommand(["GET", KEY])).toBe("moved");
  const closed = vi.spyOn(SingleLink.prototype, "close");
  await learns(...topology(5, 6));
  expect(closed).not.toHaveBeenCalled();
  await learns(...topology(5, 7));
  expect(closed).toHaveBeenCalledTimes(4); // both of that node, and of a replica
});

it("reads the same topology from nodes that list ranges and replicas in another order", () => {
  const [one, other, third] = [1, 2, 3].map((port) => ["127.0.0.1", port]);
  const read = (...ranges: unknown[]) => readTopology(ranges, { host: "127.0.0.1", port: 1 }, {});
  expect(read([9, LAST, third], [0, 8, one, other, third])).toEqual(read([0, 8, one, third, other], [9, LAST, third]));
});

it("asks the node of the last answer with heartbeats, and another one after MOVED", async () => {
  vi.spyOn(CommandQueue.prototype, "hasRoom", "get").mockReturnValue(true);
  const asked = vi.mocked(send);
  const topology = [range(0, 9_000, 1), range(9_001, LAST, 2)];
  routing(...topology);
  const answer = topology.map(({ from, to, primary: { host, port } }) => [from, to, [host, port]]);
  const asksAgain = async (...replies: unknown[]): Promise<unknown> => {
    asked.mockClear();
    servers.replies = replies;
    clock.advance(1_000);
    router.refresh(1_000, "of the same node");
    await flush();
    return asked.mock.calls.map(([link]) => router.primaries().findIndex((each) => each.link === link));
  };
  random = () => 0;
  expect(await asksAgain(answer)).toEqual([0]);
  random = () => 0.5;
  expect(await asksAgain(answer)).toEqual([0]);
  expect(await asksAgain(new Error("LOADING"), answer)).toEqual([0, 1]);
  random = () => 0;
  expect(await asksAgain(answer)).toEqual([1]);
  servers.replies = [new Error(`MOVED ${SLOT} 127.0.0.1:2`), "value"];
  await router.sendCommand(["GET", KEY]);
  expect(await asksAgain(answer)).toEqual([0]);
});

it("connects a replica again whose link has given up, although the topology stays as it is", async () => {
  const made = vi.spyOn(SingleLink.prototype, "ready").mockRejectedValue(new Error("WRONGPASS"));
  const topology = { ...range(0, LAST, 1), replicas: [{ host: "127.0.0.1", port: 5 }] };
  routing(topology);
  await flush();
  expect(made).toHaveBeenCalledTimes(1);
  for (let i = 0; i < 2; i += 1) await learns(topology); // the first reports the failure
  expect(made).toHaveBeenCalledTimes(2);
});
