// What must and must not compile, as `experimentalDecorators` calls decorators.
import { Cached } from "@hotset/nest";

const named = Cached({ name: "price", tags: (cents: number, sku: string) => [`${cents} ${sku}`] });
const plain = Cached({ name: "page" });
const keyed = Cached({ name: "page", key: ({ href }: URL) => href });
declare const price: TypedPropertyDescriptor<(sku: string) => Promise<number>>;
declare const page: TypedPropertyDescriptor<(url: URL) => Promise<number>>;
declare const now: TypedPropertyDescriptor<() => number>;
declare const prototype: object;
named(prototype, "price", price);
keyed(prototype, "page", page);
// @ts-expect-error: a URL is not plain data, so a key is needed
plain(prototype, "page", page);
// @ts-expect-error: the key takes a URL
keyed(prototype, "price", price);
// @ts-expect-error: a method that returns no promise would have to return one
plain(prototype, "now", now);
