import { json, type Backend, type Coherence } from "@hotset/core";
import { cluster, redis, type RedisBackend, type RedisBackendSettings } from "@hotset/redis";
import { randomPrefix, startCluster, startOwnRedis, type OwnRedis, type TestCluster } from "@hotset/test-servers";
import { describeBackend } from "@hotset/testing/contract-suites";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RecordingListener } from "./recording-listener.ts";

// Not the server that other files share: the suite ends connections.
let server: OwnRedis;
let servers: TestCluster;
beforeAll(async () => {
  [server, servers] = await Promise.all([startOwnRedis(), startCluster({ replicas: 0 })]);
});
afterAll(() => Promise.all([server, servers].map((each) => each.stop())));

/** Ends every connection, those over which changes are pushed included. */
async function cut(): Promise<void> {
  for (const each of [server, ...servers.nodes])
    for (const type of ["normal", "pubsub"]) await each.command("CLIENT", "KILL", "TYPE", type, "SKIPME", "yes");
}

/** The contract between as many processes as it takes: each has connections of its own, and all share one prefix. */
function describeProcesses(name: string, mode: "tracking" | "pubsub", begin: () => RedisBackendSettings): void {
  let prefix: string;
  const open = (): RedisBackend => begin().keyPrefix(prefix).valueFormat(json()).responseTimeout("10s").build();
  const openEmpty = (): RedisBackend => {
    prefix = randomPrefix();
    return open();
  };

  describe(`redis, ${name}`, () => {
    it("has every capability, so that the suite below does not pass over any", async () => {
      const backend = openEmpty();
      const { leases, tagVersions, coherence, batch, markStale }: Backend = backend;
      for (const capability of [leases, tagVersions, coherence, batch]) expect(capability).toBeTypeOf("object");
      expect(markStale).toBeTypeOf("function");
      await (coherence as Coherence).attach(new RecordingListener());
      expect(backend.coherenceMode).toBe(mode);
      await backend.close();
    });

    describeBackend(`redis, ${name}: each of several processes`, {
      open: openEmpty,
      openPeer: open,
      cut,
      expiry: "server",
      leasesReplaceMissing: mode === "tracking",
      promises: ["one load", "deletes hold", "tags hold", "copies follow"],
    });
  });
}

describeProcesses("tracking, one server", "tracking", () => redis(server.url));
describeProcesses("tracking, a cluster", "tracking", () => redis(cluster(servers.urls)));
describeProcesses("announcements, hashed keys over RESP2", "pubsub", () =>
  redis(server.url).protocol(2).coherence("pubsub").keyFormat("hashed"),
);
describeProcesses("strings, a cluster, hashed keys", "tracking", () =>
  redis(cluster(servers.urls)).layout("string").keyFormat("hashed"),
);

describeProcesses("tracking, hashed keys (R1-07)", "tracking", () => redis(server.url).keyFormat("hashed"));
describeProcesses("announcements, a cluster", "pubsub", () => redis(cluster(servers.urls)).coherence("pubsub"));
describeProcesses("strings, one server", "tracking", () => redis(server.url).layout("string"));
describeProcesses("strings, announcements", "pubsub", () => redis(server.url).layout("string").coherence("pubsub"));
