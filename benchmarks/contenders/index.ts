import { asyncCacheDedupe } from "./async-cache-dedupe.ts";
import { bentocache } from "./bentocache.ts";
import { cachified } from "./cachified.ts";
import { catbox } from "./catbox.ts";
import type { Product } from "./contender.ts";
import { hotsets } from "./hotset.ts";
import { cacheable, cacheManager } from "./keyv.ts";
import { layeredLoader } from "./layered-loader.ts";
import { limits } from "./limits.ts";
import { ocache } from "./ocache.ts";
import { unstorage } from "./unstorage.ts";

/** All of them, in the order of tables. */
export const PRODUCTS: readonly Product[] = [
  ...hotsets,
  layeredLoader,
  cachified,
  asyncCacheDedupe,
  bentocache,
  cacheable,
  cacheManager,
  unstorage,
  catbox,
  ocache,
  ...limits,
];

export function productNamed(name: string): Product {
  const product = PRODUCTS.find((each) => each.name === name);
  if (product === undefined)
    throw new Error(`no contender is named ${name}; the names are ${PRODUCTS.map((each) => each.name).join(", ")}`);
  return product;
}
