import { createCache, memory, type Cache } from "hotset";
import { cached, cachedMethod } from "hotset/decorators";
import { expect, it, onTestFinished } from "vitest";

function shop(): Cache {
  const cache = createCache({ name: "shop" }).tier(memory()).defaults({ ttl: "1m" }).build();
  onTestFinished(() => cache.close());
  return cache;
}

/** Applies a decorator as the syntax does. */
function decorate(target: object, name: string, decorator: unknown, kind = "method"): void {
  const method = (target as Record<string, unknown>)[name];
  const made = (decorator as (method: unknown, context: object) => unknown)(method, { kind, name });
  Object.defineProperty(target, name, { value: made, configurable: true });
}

it("C748 a decorated method loads once for all callers, by its arguments, and keeps its name", async () => {
  const cache = shop();
  let loads = 0;
  class Catalog {
    async title(sku: string, options: { readonly upper?: boolean } = {}): Promise<string> {
      loads += 1;
      return options.upper === true ? sku.toUpperCase() : sku;
    }
  }
  decorate(Catalog.prototype, "title", cached(cache, { name: "title" }));
  const [one, other] = [new Catalog(), new Catalog()];
  expect(await Promise.all([one.title("a"), other.title("a"), one.title("a", { upper: true })])).toEqual([
    "a",
    "a",
    "A",
  ]);
  expect([loads, one.title.name]).toEqual([2, "title"]);
});

it("C748 an object has the cache and the options of its class, and `this` in its loads", async () => {
  class Prices {
    readonly cache: Cache;
    readonly currency: string;
    constructor(cache: Cache, currency: string) {
      this.cache = cache;
      this.currency = currency;
    }
    async of(sku: string): Promise<string> {
      return `${sku} in ${this.currency}`;
    }
  }
  let made = 0;
  const options = ({ currency }: Prices): object => {
    made += 1;
    return { name: "price", key: (sku: string) => `${currency} ${sku}` };
  };
  decorate(
    Prices.prototype,
    "of",
    cached(({ cache }: Prices) => cache, options as never),
  );
  const [first, second] = [shop(), shop()];
  const all = [new Prices(first, "EUR"), new Prices(first, "USD"), new Prices(second, "EUR")] as const;
  for (const prices of [...all, ...all]) expect(await prices.of("a")).toBe(`a in ${prices.currency}`);
  expect(made).toBe(3);
  expect([first.stats().loads, second.stats().loads]).toEqual([2, 1]);
  expect(cachedMethod(all[1], "of").key("a")).toBe("price:USD a");
});

it("C748 options are made once for an object, even if its cache is a new view of a namespace at each call", async () => {
  const cache = shop();
  class Prices {
    tenant = "acme";
    async of(sku: string): Promise<string> {
      return `${sku} of ${this.tenant}`;
    }
  }
  let made = 0;
  const options = (): object => {
    made += 1;
    return { name: "price" };
  };
  decorate(
    Prices.prototype,
    "of",
    cached(({ tenant }: Prices) => cache.namespace(tenant), options as never),
  );
  const prices = new Prices();
  for (let i = 0; i < 3; i += 1) expect(await prices.of("a")).toBe("a of acme");
  // The cache is asked for at each call: the value of one tenant must not answer another.
  prices.tenant = "globex";
  expect(await prices.of("a")).toBe("a of globex");
  expect([made, cache.stats().loads]).toEqual([1, 2]);
});

it("C748 tags, a condition and refresh are those of wrap", async () => {
  const cache = shop();
  class Stock {
    left = 0;
    async count(sku: string): Promise<number> {
      this.left += 1;
      return sku === "none" ? 0 : this.left;
    }
  }
  const tags = (_left: number, sku: string): readonly string[] => [`sku:${sku}`];
  const shouldStore = (left: number, _sku: string): boolean => left > 0;
  decorate(Stock.prototype, "count", cached(cache, { name: "stock", tags, shouldStore }));
  const stock = new Stock();
  expect([await stock.count("a"), await stock.count("a")]).toEqual([1, 1]);
  await cache.invalidateTags("sku:a");
  expect([await stock.count("a"), await cachedMethod(stock, "count").refresh("a"), await stock.count("a")]).toEqual([
    2, 3, 3,
  ]);
  expect((await cachedMethod(stock, "count").invalidate("a")).status).toBe("deleted");
  expect(await cachedMethod(stock, "count")("a")).toBe(4);
  expect([await stock.count("none"), await stock.count("none"), stock.left]).toEqual([0, 0, 6]);
});

it("C748 a class that extends another shares the values of what it does not override", async () => {
  const cache = shop();
  class Base {
    async page(): Promise<string> {
      return `page of ${this.constructor.name}`;
    }
  }
  decorate(Base.prototype, "page", cached(cache, { name: "page" }));
  class Extended extends Base {}
  class Overriding extends Base {
    override async page(): Promise<string> {
      return `more than the ${await super.page()}`;
    }
  }
  expect([await new Extended().page(), await new Base().page(), await new Overriding().page()]).toEqual([
    "page of Extended",
    "page of Extended",
    "more than the page of Extended",
  ]);
});

it("names the setting if it is applied as experimentalDecorators would", () => {
  class Thing {
    async one(): Promise<number> {
      return 1;
    }
  }
  const { prototype } = Thing;
  const decorator = cached(shop(), { name: "one" }) as unknown as (...given: readonly unknown[]) => unknown;
  expect(() => decorator(prototype, "one", Object.getOwnPropertyDescriptor(prototype, "one"))).toThrow(
    "cached: one is compiled with experimentalDecorators; compile without, or use @Cached of @hotset/nest",
  );
});

it("refuses what is no method, bad options, and an object without a cache", async () => {
  const cache = shop();
  class Thing {
    readonly cache: Cache | undefined = undefined;
    async one(): Promise<number> {
      return 1;
    }
    two(): number {
      return 2;
    }
  }
  const { prototype } = Thing;
  expect(() => decorate(prototype, "one", cached(cache, { name: "one" }), "getter")).toThrow(
    "cached: one must be a method, got a getter",
  );
  expect(() => decorate(prototype, "one", cached(cache, { name: "" }))).toThrow("wrap: name must be");
  expect(() => decorate(prototype, "one", cached(cache, { name: "one", ttl: "soon" as "1s" }))).toThrow("ttl");
  expect(() => cachedMethod(new Thing(), "two" as "one")).toThrow(
    "cachedMethod: two must be a method with a decorator",
  );
  decorate(
    prototype,
    "one",
    cached((thing: Thing) => thing.cache as Cache, { name: "one" }),
  );
  const thing = new Thing();
  await expect(thing.one()).rejects.toThrow("one: its object has no cache; assign one before the first call");
  const { one } = thing;
  await expect(one()).rejects.toThrow("one: a cached method needs its object; call it as a method, or bind it");
});
