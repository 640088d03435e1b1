import { createCache, keyOf, type Cache } from "@hotset/core";
import { cachedMethod } from "@hotset/core/decorators";
import { memory } from "@hotset/memory";
import { Cached, HotsetModule } from "@hotset/nest";
import { Controller, Get, Param, Scope } from "@nestjs/common";
import { expect, it, onTestFinished } from "vitest";
import { decorate, Injectable, start } from "./apps.ts";

function shop(): Cache {
  const cache = createCache({ name: "shop" }).tier(memory()).defaults({ ttl: "1m" }).build();
  onTestFinished(() => cache.close());
  return cache;
}

it("C748 a method of a provider is cached in the injected cache, with keys and tags of its arguments", async () => {
  let loads = 0;
  class Catalog {
    readonly factor = 2;
    async price(sku: string): Promise<number> {
      loads += 1;
      return this.factor * sku.length;
    }
  }
  const tags = (_cents: number, sku: string): readonly string[] => [`sku:${sku}`];
  decorate(Catalog, {
    onClass: [Injectable()],
    onMethods: { price: [Cached({ name: "price", tags }) as MethodDecorator] },
  });
  const cache = shop();
  const { app } = await start({ imports: [HotsetModule.forRoot({ cache })], providers: [Catalog] });
  const catalog = app.get(Catalog);
  expect(await Promise.all([catalog.price("ab"), catalog.price("ab"), catalog.price("abc")])).toEqual([4, 4, 6]);
  expect(loads).toBe(2);
  await cache.invalidateTags("sku:ab");
  expect([await catalog.price("ab"), await catalog.price("abc"), loads]).toEqual([4, 6, 3]);
  await cachedMethod(catalog, "price").invalidate("abc");
  expect([await catalog.price("abc"), loads]).toEqual([6, 4]);
  expect(Object.keys(catalog)).toEqual(["factor"]);
});

it("C748 a handler keeps its route, on either side of its decorators, and its answer is cached by namespace", async () => {
  const runs = { above: 0, below: 0 };
  class Products {
    async above(id: string): Promise<object> {
      return { id, runs: (runs.above += 1) };
    }
    async below(id: string): Promise<object> {
      return { id, runs: (runs.below += 1) };
    }
  }
  const of = (name: string): MethodDecorator => Cached({ name }, "products") as MethodDecorator;
  decorate(Products, {
    onClass: [Controller("products")],
    onMethods: { above: [of("above"), Get("above/:id")], below: [Get("below/:id"), of("below")] },
    onParameters: { above: [Param("id")], below: [Param("id")] },
  });
  const cache = shop();
  const imports = [HotsetModule.forRoot({ cache }), HotsetModule.forFeature({ namespace: "products", ttl: "5m" })];
  const { get } = await start({ imports, controllers: [Products] });
  for (const path of ["/products/above/1", "/products/below/1"])
    expect([(await get(path)).text, (await get(path)).text]).toEqual(['{"id":"1","runs":1}', '{"id":"1","runs":1}']);
  expect((await get("/products/above/2")).text).toBe('{"id":"2","runs":2}');
  expect(cache.namespace("products").peek(keyOf("above", "1"))).toEqual({ id: "1", runs: 1 });
});

it("C748 options are made for each instance, and those of a request share what their keys share", async () => {
  let made = 0;
  class Visit {
    readonly tenant = `tenant ${(made += 1)}`;
    async page(): Promise<string> {
      return this.tenant;
    }
    async shared(): Promise<string> {
      return this.tenant;
    }
  }
  const page = Cached(({ tenant }: Visit) => ({ name: "page", key: () => tenant }));
  decorate(Visit, {
    onClass: [Injectable({ scope: Scope.TRANSIENT })],
    onMethods: { page: [page as MethodDecorator], shared: [Cached({ name: "shared" }) as MethodDecorator] },
  });
  const { app } = await start({ imports: [HotsetModule.forRoot({ cache: shop() })], providers: [Visit] });
  const [one, other] = [await app.resolve(Visit), await app.resolve(Visit)];
  expect([await one.page(), await other.page(), one.tenant === other.tenant]).toEqual([
    one.tenant,
    other.tenant,
    false,
  ]);
  expect([await one.shared(), await other.shared()]).toEqual([one.tenant, one.tenant]);
});

it("refuses what is no method of instances, and calls of an instance that Nest has not made", async () => {
  class Thing {
    static async of(): Promise<number> {
      return 1;
    }
    async one(): Promise<number> {
      return 1;
    }
  }
  const decorator = Cached({ name: "one" }) as (target: object, name: string, descriptor?: object) => void;
  expect(() => decorator(Thing, "of", { value: Thing.of })).toThrow("Cached: of must be a method of instances");
  expect(() => decorator(Thing.prototype, "field")).toThrow("Cached: field must be a method of instances");
  decorate(Thing, { onMethods: { one: [decorator as MethodDecorator] } });
  await expect(new Thing().one()).rejects.toThrow(
    "Cached: Thing.one has no cache; let Nest make the Thing, as a provider or controller",
  );
});
