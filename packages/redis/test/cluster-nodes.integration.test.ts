/** Nodes of a cluster that do not know their names. */
import { cluster } from "@hotset/redis";
import { openConnection } from "@hotset/redis/connection";
import { startCluster } from "@hotset/test-servers";
import { expect, it } from "vitest";

it("C410 a redirection to a node whose host name is not known leads to the host of the node that says so", async () => {
  await using nodes = await startCluster({ replicas: 0, config: ["cluster-preferred-endpoint-type hostname"] });
  await using redis = openConnection(cluster(nodes.urls), { responseTimeoutMs: 5_000 });
  const [from, to] = await nodes.masters();
  const tag = await nodes.keyOn(from!, "tag");
  const [moving, moved] = [`{${tag}}a`, `{${tag}}b`];
  for (const key of [moving, moved]) await redis.call(["SET", key, "v"], { key });
  const migration = await nodes.migrateHalfway(await nodes.slotOf(tag), to!);
  await migration.move(moving);
  await expect(from!.command("GET", moving)).rejects.toThrow(/^ASK \d+ \?:/);
  expect(await redis.call(["GET", moving], { key: moving })).toEqual(Buffer.from("v"));
  await migration.finish();
  await expect(from!.command("GET", moved)).rejects.toThrow(/^MOVED \d+ \?:/);
  expect(await redis.call(["GET", moved], { key: moved })).toEqual(Buffer.from("v"));
}, 60_000);
