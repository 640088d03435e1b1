import { json } from "@hotset/core";
import { describeBackend } from "@hotset/core/contract-suites";
import { randomPrefix, startProxy } from "@hotset/test-servers";
import { inject, onTestFinished } from "vitest";
import { redis } from "@hotset/redis";

describeBackend("redis", {
  // The first call of a process loads node-redis: that may take longer than the default deadline.
  open: () => redis(inject("redisUrl")).keyPrefix(randomPrefix()).valueFormat(json()).responseTimeout("10s").build(),
  unreachable: () => redis("redis://127.0.0.1:1").valueFormat(json()).build(),
  async delayed() {
    const proxy = await startProxy(Number(new URL(inject("redisUrl")).port));
    onTestFinished(() => proxy.close());
    const backend = redis(proxy.url).keyPrefix(randomPrefix()).valueFormat(json()).build();
    return {
      backend,
      delay: (ms: number) => (ms === Infinity ? proxy.swallow() : proxy.delay({ toClient: ms })),
    };
  },
  expiry: "server",
});
