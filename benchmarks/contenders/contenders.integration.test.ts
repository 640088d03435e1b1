import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PRODUCTS } from "./index.ts";

/** The comparison relies on it: each contender really caches, and really forgets. */
describe("contenders", () => {
  let server: OwnRedis;
  beforeAll(async () => {
    server = await startOwnRedis();
  });
  afterAll(() => server.stop());

  for (const product of PRODUCTS)
    for (const shape of product.shapes)
      it(`${product.name} over ${shape} loads once, keeps what is set and forgets what is deleted`, async () => {
        const loads: string[] = [];
        const contender = await product.open({
          url: server.url,
          shape,
          prefix: `contract-${product.name.replaceAll(/\W/g, "")}-${shape}`,
          ttlMs: 60_000,
          staleMs: 0,
          maxItems: 100,
          isTagged: true,
          isCompressed: false,
          load: async (key) => {
            loads.push(key);
            return { key, count: loads.length };
          },
        });
        try {
          expect(await contender.getOrSet("a")).toEqual({ key: "a", count: 1 });
          expect(await contender.getOrSet("a")).toEqual({ key: "a", count: 1 });
          expect(loads).toEqual(["a"]);
          await contender.set("b", { key: "b", given: true });
          expect(await contender.getOrSet("b")).toEqual({ key: "b", given: true });
          if (contender.get !== undefined) expect(await contender.get("b")).toEqual({ key: "b", given: true });
          if (contender.peek !== undefined) expect(contender.peek("b")).toEqual({ key: "b", given: true });
          expect(loads).toEqual(["a"]);
          await contender.delete("b");
          expect(await contender.getOrSet("b")).toEqual({ key: "b", count: 2 });
          await contender.getMany?.(["a", "b"]);
          expect(loads).toEqual(["a", "b"]);
          if (!product.can.includes("tags")) return;
          await contender.setTagged!("t", { key: "t", tagged: true }, "red");
          expect(await contender.getOrSet("t")).toEqual({ key: "t", tagged: true });
          await contender.invalidateTag!("red");
          expect(await contender.getOrSet("t")).toEqual({ key: "t", count: 3 });
        } finally {
          await contender.close();
        }
      });
});
