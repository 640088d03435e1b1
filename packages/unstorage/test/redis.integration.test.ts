import { createCache } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { randomPrefix } from "@hotset/test-servers";
import { hotsetDriver } from "@hotset/unstorage";
import * as unstorage from "unstorage";
import { afterAll, describe, expect, inject, it } from "vitest";
import { testDriver } from "./test-driver.ts";

const prefix = randomPrefix();
const open = () =>
  createCache({ name: "shop" })
    .tier(memory())
    .tier(redis(inject("redisUrl")).keyPrefix(prefix).valueFormat(v8()).responseTimeout("15s").build())
    .build();

const [suite, here, there] = [open(), open(), open()];
afterAll(async () => {
  await Promise.all([suite, here, there].map((cache) => cache.close()));
});

describe("C573: the suite of unstorage for drivers, over Redis", () => {
  testDriver({ unstorage, noKeysSupport: true, driver: () => hotsetDriver(suite, { name: "suite" }) });
});

it("C573: clear in one process reaches the copies of another; bytes pass between them", async () => {
  const [first, second] = [here, there].map((cache) => unstorage.createStorage({ driver: hotsetDriver(cache) }));
  await first!.setItemRaw("nitro:image", Uint8Array.of(0, 255));
  expect(await second!.getItemRaw("nitro:image")).toEqual(Buffer.from([0, 255]));
  await first!.clear();
  await expect.poll(() => second!.getItemRaw("nitro:image")).toBe(null);
});
