/** "For ever" as a number, in Redis: read by every process, and ended some day. */
import { createCache, json } from "@hotset/core";
import { redis } from "@hotset/redis";
import { randomPrefix, RespClient } from "@hotset/test-servers";
import { expect, inject, it } from "vitest";
import { LAYOUTS } from "../support/layout.ts";
import { never } from "../support/stacks.ts";

const HUNDRED_YEARS_MS = 100 * 365 * 86_400_000;
const LONG = [2 ** 31, 1e16, Number.MAX_SAFE_INTEGER, 2 ** 53, 1e300, "1e300d"] as const;

it.each(LAYOUTS)("with layout %s a finite ttl of any length is read by another process, and ends", async (layout) => {
  const keyPrefix = randomPrefix();
  const open = () =>
    createCache({ name: "shop" })
      .tier(
        redis(inject("redisUrl"))
          .keyPrefix(keyPrefix)
          .layout(layout)
          .valueFormat(json())
          .responseTimeout("15s")
          .build(),
      )
      .build();
  await using writer = open();
  await using reader = open();
  const client = RespClient.fromUrl(inject("redisUrl"));
  for (const [i, ttl] of LONG.entries()) {
    expect(await writer.set(`k${i}`, i, { ttl })).toMatchObject({ status: "stored" });
    expect(await reader.getOrSet(`k${i}`, never)).toBe(i);
    const lifeMs = Number(await client.command("PTTL", `${keyPrefix}:shop::k${i}`));
    expect(lifeMs).toBeGreaterThan(2 ** 31 - 60_000);
    expect(lifeMs).toBeLessThanOrEqual(HUNDRED_YEARS_MS);
  }
});
