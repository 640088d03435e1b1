import { json } from "@hotset/core";
import { describeBackend } from "@hotset/core/testing";
import { randomPrefix } from "@hotset/test-servers";
import { inject } from "vitest";
import { redis } from "@hotset/redis";

describeBackend("redis", {
  // The first call of a process loads node-redis: that may take longer than the default deadline.
  open: () => redis(inject("redisUrl")).keyPrefix(randomPrefix()).valueFormat(json()).responseTimeout("10s").build(),
  unreachable: () => redis("redis://127.0.0.1:1").valueFormat(json()).build(),
  expiry: "server",
});
