import { json } from "@hotset/core";
import { redis } from "@hotset/redis";
import { randomPrefix, startProxy } from "@hotset/test-servers";
import { describeBackend } from "@hotset/testing/contract-suites";
import { describe, inject, onTestFinished } from "vitest";

describe.each(["full", "string"] as const)("layout %s", (layout) => {
  describeBackend("redis", {
    // The first call of a process loads node-redis: that may take longer than the default deadline.
    open: () =>
      redis(inject("redisUrl"))
        .keyPrefix(randomPrefix())
        .layout(layout)
        .valueFormat(json())
        .responseTimeout("10s")
        .build(),
    unreachable: () => redis("redis://127.0.0.1:1").layout(layout).valueFormat(json()).build(),
    async delayed() {
      const proxy = await startProxy(Number(new URL(inject("redisUrl")).port));
      onTestFinished(() => proxy.close());
      const backend = redis(proxy.url).keyPrefix(randomPrefix()).layout(layout).valueFormat(json()).build();
      return {
        backend,
        delay: (ms: number) => (ms === Infinity ? proxy.swallow() : proxy.delay({ toClient: ms })),
      };
    },
    expiry: "server",
  });
});
