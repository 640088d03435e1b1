import { json } from "@hotset/core";
import { describeBackend } from "@hotset/core/testing";
import { redis, type RedisBackend, type RedisBackendBuilder } from "@hotset/redis";
import { randomPrefix } from "@hotset/test-servers";
import { expect, inject, it } from "vitest";

const WAYS: readonly (readonly [name: string, mode: "tracking" | "pubsub", settings: (builder: RedisBackendBuilder) => RedisBackendBuilder])[] = [
  ["tracking", "tracking", (builder) => builder.coherence("tracking")],
  ["tracking hashed keys", "tracking", (builder) => builder.keyFormat("hashed")],
  ["a channel", "pubsub", (builder) => builder.coherence("pubsub")],
  ["a channel over RESP2, chosen by itself", "pubsub", (builder) => builder.protocol(2)],
];

for (const [name, mode, settings] of WAYS) {
  const open = (prefix: string): RedisBackend => settings(redis(inject("redisUrl")).keyPrefix(prefix).valueFormat(json()).maxStaleness("400ms")).build();
  let prefix: string;

  describeBackend(`redis, changes heard by ${name}`, {
    open: () => open((prefix = randomPrefix())),
    openPeer: () => open(prefix),
    expiry: "server",
  });

  it(`which way it is can be seen: ${name}`, async () => {
    const backend = open(randomPrefix());
    const detach = await backend.coherence!.attach({ now: () => 0, changed: nothing, tagsChanged: nothing, everythingChanged: nothing, alive: nothing, replaced: nothing, lost: nothing });
    expect(backend.coherenceMode).toBe(mode);
    await detach();
    await backend.close();
  });
}

function nothing(): void {
  // Nobody looks at what is heard.
}
