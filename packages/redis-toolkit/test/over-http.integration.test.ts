import { http } from "@hotset/redis/http";
import { openConnection } from "@hotset/redis-toolkit/connection";
import { lock } from "@hotset/redis-toolkit/lock";
import { rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { randomPrefix, startRestProxy } from "@hotset/test-servers";
import { expect, inject, it } from "vitest";

it("over HTTP", async () => {
  await using proxy = await startRestProxy({ redisPort: Number(new URL(inject("redisUrl")).port) });
  const connection = http({ url: proxy.url, token: proxy.token }) as never;
  const open = openConnection(connection);
  const key = randomPrefix();
  await open.call(["SET", key, "v"], { key });
  console.log(String(await open.call(["GET", key], { key })));
  console.log(await open.call(["BLPOP", key, "1"], { key }).catch(String));
  await open.close();
});
