// An existing function whose results are cached by its arguments.

import assert from "node:assert/strict";
import { createCache, memory } from "hotset";

await using cache = createCache({ name: "shop" }).tier(memory()).defaults({ ttl: "1m" }).build();

let calls = 0;
async function convert(cents: number, currency: "EUR" | "USD"): Promise<number> {
  calls += 1;
  return currency === "EUR" ? cents : Math.round(cents * 1.1);
}

// The name is the first part of each key; two functions of one name would share their values.
const price = cache.wrap(convert, {
  name: "price",
  ttl: "30s",
  tags: (_converted, _cents, currency) => [`currency:${currency}`],
});

assert.equal(await price(1_000, "EUR"), 1_000);
assert.equal(await price(1_000, "USD"), 1_100);
assert.equal(await price(1_000, "USD"), 1_100);
assert.equal(calls, 2);

// One value, by its arguments; many, by a tag.
await price.invalidate(1_000, "EUR");
assert.equal(cache.peek(price.key(1_000, "EUR")), undefined);
await cache.invalidateTags("currency:USD");
assert.equal(cache.peek(price.key(1_000, "USD")), undefined);

await price.refresh(1_000, "USD"); // calls the function even though a value is cached
assert.equal(cache.peek(price.key(1_000, "USD")), 1_100);

// Arguments that are not plain data need a `key` function.
const title = cache.wrap(async (page: URL, fallback: string) => page.searchParams.get("title") ?? fallback, {
  name: "title",
  key: (page, fallback) => `${page.href} ${fallback}`,
});
assert.equal(await title(new URL("https://example.org/?title=News"), "none"), "News");

console.log(`${price.key(1_000, "USD")}: ${calls} calls`);
