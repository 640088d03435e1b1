// Methods that are cached by a decorator. Node does not run the syntax yet, so compile it: `tsc -p docs/examples/decorators`.

import assert from "node:assert/strict";
import { type Cache, createCache, keyOf, memory, type Namespace } from "hotset";
import { cached, cachedMethod } from "hotset/decorators";

await using cache = createCache({ name: "shop" }).tier(memory()).defaults({ ttl: "1m" }).build();

class Catalog {
  static loads = 0;
  readonly prices: Namespace<number>;
  readonly currency: "EUR" | "USD";

  constructor(shop: Cache, currency: "EUR" | "USD") {
    this.prices = shop.namespace<number>("prices");
    this.currency = currency;
  }

  // By its arguments, with the options of `wrap`. All catalogs share the titles.
  @cached(cache, { name: "title", ttl: "30s", tags: ["titles"] })
  async title(sku: string, upper: boolean = false): Promise<string> {
    Catalog.loads += 1;
    return upper ? sku.toUpperCase() : sku;
  }

  // The namespace is that of the object, and the key has what its objects differ in.
  @cached(
    ({ prices }: Catalog) => prices,
    ({ currency }: Catalog) => ({
      name: "price",
      key: (sku: string) => keyOf(currency, sku),
      tags: (_cents: number, sku: string) => [`sku:${sku}`],
    }),
  )
  async price(sku: string): Promise<number> {
    Catalog.loads += 1;
    return (this.currency === "EUR" ? 100 : 110) * sku.length;
  }

  @cached(cache, { name: "currencies" })
  static async currencies(): Promise<readonly string[]> {
    Catalog.loads += 1;
    return ["EUR", "USD"];
  }
}

const loads = (): number => Catalog.loads;
const [eur, usd] = [new Catalog(cache, "EUR"), new Catalog(cache, "USD")];
assert.deepEqual(await Promise.all([eur.title("a"), usd.title("a"), eur.title("a", true)]), ["a", "a", "A"]);
assert.deepEqual([await eur.price("ab"), await usd.price("ab"), await eur.price("ab")], [200, 220, 200]);
assert.deepEqual([await Catalog.currencies(), await Catalog.currencies()].flat(), ["EUR", "USD", "EUR", "USD"]);
assert.equal(loads(), 5);

// One value, by its arguments; many, by a tag.
const price = cachedMethod(eur, "price");
await price.invalidate("ab");
assert.equal(eur.prices.peek(price.key("ab")), undefined);
await cache.invalidateTags("sku:ab");
assert.deepEqual([await eur.price("ab"), await usd.price("ab")], [200, 220]);
assert.equal(loads(), 7);
await price.refresh("ab"); // calls the method even though a value is cached

console.log(`${price.key("ab")}: ${loads()} loads`);
