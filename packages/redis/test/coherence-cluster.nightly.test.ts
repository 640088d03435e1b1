import { BackendUnavailableError, json, systemClock } from "@hotset/core";
import { cluster, redis, type RedisBackend, type RedisBackendBuilder } from "@hotset/redis";
import { startCluster, type TestCluster } from "@hotset/test-servers";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { SingleLink } from "../src/connection/single-link.ts";
import { clusterLink } from "../src/topology/cluster.ts";
import { RecordingListener } from "./recording-listener.ts";
import { stored } from "./stored.ts";

let servers: TestCluster;
/** A cluster of its own for each group: a primary that one has promoted must not be lost in the next, see `promote`. */
function useCluster(): void {
  beforeAll(async () => {
    servers = await startCluster();
  });
  afterAll(() => servers.stop());
}

function open(
  settings: (builder: RedisBackendBuilder) => RedisBackendBuilder = (builder) => builder,
  readFromReplicas = false,
): RedisBackend {
  const backend = settings(
    redis(cluster(servers.urls, { readFromReplicas }))
      .valueFormat(json())
      .maxStaleness("400ms")
      .responseTimeout("10s")
      .backoff({ base: 10, max: 100 }),
  ).build();
  onTestFinished(() => backend.close());
  return backend;
}
let listener: RecordingListener;
/** Has a replica take the place of a silent primary soon. In the other tests a busy node has not failed. */
const failOverSoon = (): Promise<void> => servers.nodeTimeout(2_000);
beforeEach(async () => {
  await servers.waitUntilOk();
  await servers.nodeTimeout(15_000);
  listener = new RecordingListener();
});

/** An entry's key for each primary. */
const keysOnEach = async (): Promise<readonly string[]> => {
  const masters = await servers.masters();
  return Promise.all(
    masters.map(async (master) => (await servers.keyOn(master, "hotset:shop::")).slice("hotset:".length)),
  );
};

/** The part of the keys that a primary serves. */
const partOf = ({ port }: { readonly port: number }): string => `127.0.0.1:${port}`;

/** Changes of every primary are reported. */
const expectAllHeard = async (): Promise<void> => {
  const parts = (await servers.masters()).map(partOf);
  await expect.poll(() => parts.filter((part) => !listener.parts.has(part))).toEqual([]);
};

describe.each([["tracking"], ["pubsub"]] as const)("coherence over a cluster by %s", (mode) => {
  useCluster();
  const attached = async (): Promise<RedisBackend> => {
    const backend = open((builder) => builder.coherence(mode));
    await backend.coherence!.attach(listener);
    return backend;
  };

  it("C81 C91: receives changes from each primary", async () => {
    const backend = await attached();
    const other = open((builder) => builder.coherence(mode));
    const keys = await keysOnEach();
    await expectAllHeard();
    for (const key of keys) await backend.read(key);
    for (const key of keys) await other.write(key, stored());
    await expect.poll(() => keys.filter((key) => listener.received.includes(`changed ${key}`))).toEqual(keys);
    await expect.poll(() => listener.signs.length).toBeGreaterThan(2);
    expect(listener.losses).toEqual([]);
    expect(backend.coherenceMode).toBe(mode);
  });

  it("C86 C91: reports the loss of a primary as that of its keys, then changes from its successor, and a replacement", async () => {
    await failOverSoon();
    const backend = await attached();
    const [victim, ...others] = await servers.masters();
    await expectAllHeard();
    await victim!.kill();
    // Changes of its successor may be received already.
    await expect.poll(() => listener.parts.has(partOf(victim!))).toBe(false);
    expect(others.map(partOf).filter((part) => !listener.parts.has(part))).toEqual([]);
    expect(listener.losses.length).toBeGreaterThan(0);
    await expect.poll(() => listener.received).toContain("replaced");
    await servers.waitUntilOk();
    await expectAllHeard();
    listener.take();
    const other = open((builder) => builder.coherence(mode));
    const keys = await keysOnEach();
    for (const key of keys) await backend.read(key);
    for (const key of keys) await other.write(key, stored());
    await expect.poll(() => keys.filter((key) => listener.received.includes(`changed ${key}`))).toEqual(keys);
    await victim!.start();
  });

  it("A96: takes no signs of life from a primary that was replaced while it lives, although it answers, and calls that no refusal", async () => {
    await failOverSoon();
    const backend = await attached();
    const [demoted] = await servers.masters();
    const [promoted] = await servers.replicas(demoted);
    await servers.promote(promoted!);
    await expect.poll(() => listener.received).toContain("replaced");
    await expectAllHeard();
    expect(listener.losses).toContainEqual(
      expect.objectContaining({ message: expect.stringMatching(/not the primary/) }),
    );
    expect(listener.losses.filter((loss) => !(loss instanceof BackendUnavailableError))).toEqual([]);
    // It is asked no more.
    const lastSign = listener.parts.get(partOf(demoted!));
    const { length } = listener.signs;
    await expect.poll(() => listener.signs.length).toBeGreaterThan(length + 6);
    expect(listener.parts.get(partOf(demoted!))).toBe(lastSign);
    listener.take();
    const key = (await servers.keyOn(promoted!, "hotset:shop::")).slice("hotset:".length);
    await backend.read(key);
    await open((builder) => builder.coherence(mode)).write(key, stored());
    await expect.poll(() => listener.received).toContain(`changed ${key}`);
  });

  it("notices without a command that a primary that refuses to report its changes was replaced", async () => {
    await failOverSoon();
    await attached();
    const [successor] = await servers.masters();
    const [refusing] = await servers.replicas(successor);
    const right = mode === "tracking" ? "client|tracking" : "subscribe";
    const losses = (): readonly string[] => listener.losses.map((loss) => (loss as Error).message);
    await refusing!.command("ACL", "SETUSER", "default", `-${right}`);
    try {
      await servers.promote(refusing!);
      await expect.poll(losses).toContainEqual(expect.stringMatching(/NOPERM/));
      await servers.promote(successor!);
      await expect.poll(losses).toContain(`${partOf(refusing!)} is not the primary of some keys any more`);
      await expectAllHeard();
    } finally {
      await refusing!.command("ACL", "SETUSER", "default", "+@all");
    }
  });

  it("A96: receives changes of a slot that moves from both nodes", async () => {
    const backend = await attached();
    const slot = await servers.slotOf("hotset:shop::moving");
    const owner = await servers.ownerOf(slot);
    const target = (await servers.masters()).find((master) => master !== owner)!;
    const other = open((builder) => builder.coherence(mode));
    await other.write("shop::moving", stored("before"));
    await backend.read("shop::moving");
    const migration = await servers.migrateHalfway(slot, target);
    listener.take();
    await migration.move("hotset:shop::moving");
    expect((await backend.read("shop::moving"))?.data.toString()).toBe("before");
    if (mode === "tracking") {
      // The read before found it at its former node, which has removed it since; this one asks the next node.
      await expect.poll(() => listener.take()).toContain("changed shop::moving");
      await backend.read("shop::moving");
      await target.command("ASKING");
      await target.command("HSET", "hotset:shop::moving", "d", "moved");
      await expect.poll(() => listener.take()).toContain("changed shop::moving");
    }
    await migration.finish();
    listener.take();
    await backend.read("shop::moving");
    // Copies of the keys of other primaries stay trusted.
    const ended = listener.take().filter((line) => line.startsWith("everything"));
    expect(new Set(ended)).toEqual(new Set([`everything of ${partOf(owner)}`]));
    await other.remove("shop::moving");
    await expect.poll(() => listener.received).toContain("changed shop::moving");
  });
});

describe("a cluster", () => {
  useCluster();
  it.each([["FLUSHALL"], ["CLIENT", "KILL", "TYPE", "normal"]])(
    "A96: a copy of a key that has moved ahead of its slot is not trusted after a %s on the node where it was read",
    async (...command) => {
      const backend = open();
      await backend.coherence!.attach(listener);
      const key = `shop::ahead of ${command.length}`;
      const owner = await servers.ownerOf(`hotset:${key}`);
      const target = (await servers.masters()).find((master) => master !== owner)!;
      await backend.write(key, stored("before"));
      const migration = await servers.migrateHalfway(await servers.slotOf(`hotset:${key}`), target);
      await migration.move(`hotset:${key}`);
      expect((await backend.read(key))?.data.toString()).toBe("before");
      await expectAllHeard();
      listener.take();
      await target.command(...command);
      await expect.poll(() => listener.received).toContain(`everything of ${partOf(owner)}`);
      await migration.abort();
    },
  );

  it("a primary that is away for long is awaited once, not with each attempt to reach it", async () => {
    await open().coherence!.attach(listener);
    const [victim] = await servers.masters();
    // No replica takes over, and the others stay up: this is about the wait.
    await servers.nodeTimeout(60_000);
    for (const replica of await servers.replicas(victim)) await replica.kill();
    const ready = vi.spyOn(SingleLink.prototype, "ready");
    await victim!.kill();
    const { length } = listener.signs;
    await expect.poll(() => listener.signs.length).toBeGreaterThan(length + 15);
    expect(ready.mock.calls.length).toBe(1);
    ready.mockRestore();
    for (const node of servers.nodes) if (node.state !== "running") await node.start();
    await servers.waitUntilOk();
    await expectAllHeard();
  });

  it("A44 A96: opens a new connection to a replica that is promoted: the old one is in READONLY mode, and would answer reads once it is a replica again", async () => {
    await failOverSoon();
    const backend = open((builder) => builder.coherence("none"), true);
    const [demoted] = await servers.masters();
    const [promoted] = await servers.replicas(demoted);
    const key = (await servers.keyOn(demoted!, "hotset:shop::")).slice("hotset:".length);
    await backend.write(key, stored());
    const mayRead = async (): Promise<number> =>
      String(await promoted!.command("CLIENT", "LIST", "TYPE", "normal"))
        .split("\n")
        .filter((line) => /flags=\S*r/.test(line)).length;
    await expect.poll(mayRead).toBe(1);
    await servers.promote(promoted!);
    // The first write is answered MOVED. It is refused if the connection to the former replica is closed meanwhile.
    await expect.poll(() => backend.write(key, stored()).then(() => "written")).toBe("written");
    await expect.poll(mayRead).toBe(0);
  });

  it("C91: reports a replacement when the cluster was given up and is discovered anew", async () => {
    const addresses = servers.urls.map((url) => ({ host: new URL(url).hostname, port: Number(new URL(url).port) }));
    const { link } = clusterLink({
      seeds: addresses,
      prepare: () => Promise.resolve(),
      node: { database: 0, protocol: 3, connectTimeoutMs: 1_000, clock: systemClock },
      link: {
        clock: systemClock,
        random: Math.random,
        responseTimeoutMs: 1_000,
        maxInFlight: 100,
        backoff: { baseMs: 10, factor: 2, maxMs: 100 },
        retries: Infinity,
      },
      readFromReplicas: false,
    });
    const received: string[] = [];
    const note = (): void => undefined;
    await link.tracking!.attach({
      topic: "hotset:",
      maxStalenessMs: 400,
      now: () => performance.now(),
      changed: note,
      everythingChanged: note,
      alive: note,
      replaced: () => void received.push("replaced"),
      lost: note,
    });
    expect(received).toEqual([]);
    link.leaveReplica(new Error("READONLY"));
    await expect.poll(() => received).toEqual(["replaced"]);
    await link.close();
  });

  it("publishes no change where all track: each message would go to all nodes", async () => {
    const published = async (): Promise<number> => {
      const counts = await Promise.all(
        (await servers.masters()).map(async (master) =>
          Number(/cmdstat_publish:calls=(\d+)/.exec(String(await master.command("INFO", "commandstats")))?.[1] ?? 0),
        ),
      );
      return counts.reduce((total, count) => total + count, 0);
    };
    const [key] = await keysOnEach();
    const before = await published();
    await open().write(key!, stored());
    const tracking = open();
    await tracking.coherence!.attach(listener);
    await tracking.write(key!, stored());
    expect(await published()).toBe(before);
    await open((builder) => builder.coherence("pubsub")).write(key!, stored());
    expect(await published()).toBe(before + 1);
  });
});
