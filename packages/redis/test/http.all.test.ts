import { json } from "@hotset/core";
import { http, redis } from "@hotset/redis/http";
import { randomPrefix, startRestProxy, type RestProxy } from "@hotset/test-servers";
import { describeBackend } from "@hotset/testing/contract-suites";
import { afterAll, beforeAll, describe, inject, onTestFinished } from "vitest";

const portOf = (url: string): number => Number(new URL(url).port);

let proxy: RestProxy;
beforeAll(async () => {
  proxy = await startRestProxy({ redisPort: portOf(inject("redisUrl")) });
});
afterAll(() => proxy.close());

describe.each([
  ["full", "none"],
  ["string", "none"],
  ["full", "pubsub"],
  ["string", "pubsub"],
] as const)("C743 layout %s, coherence %s", (layout, coherence) => {
  const prefixes = new WeakMap<object, string>();
  const open = (prefix: string) => {
    const { url, token } = proxy;
    const backend = redis(http({ url, token, maxRequestBytes: 40_000_000 }))
      .keyPrefix(prefix)
      .layout(layout)
      .coherence(coherence)
      .valueFormat(json())
      .responseTimeout("10s")
      .build();
    prefixes.set(backend, prefix);
    return backend;
  };
  describeBackend("redis over HTTP", {
    open: () => open(randomPrefix()),
    openPeer: (backend) => open(prefixes.get(backend)!),
    unreachable: () =>
      redis(http({ url: "http://127.0.0.1:1", token: "t" }))
        .layout(layout)
        .valueFormat(json())
        .build(),
    async delayed() {
      const slow = await startRestProxy({ redisPort: portOf(inject("redisUrl")) });
      onTestFinished(() => slow.close());
      const backend = redis(http({ url: slow.url, token: slow.token }))
        .keyPrefix(randomPrefix())
        .layout(layout)
        .coherence(coherence)
        .valueFormat(json())
        .build();
      return { backend, delay: (ms: number) => void (ms === Infinity ? (slow.fault = "keeps") : (slow.delayMs = ms)) };
    },
    ...(coherence === "pubsub" && { cut: () => proxy.streams.cut() }),
    expiry: "server",
    promises: [
      "one load",
      "deletes hold",
      "tags hold",
      ...(coherence === "pubsub" ? (["copies follow"] as const) : []),
    ],
  });
});
