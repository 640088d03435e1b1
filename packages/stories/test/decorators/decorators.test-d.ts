// What must and must not compile with the decorators of `hotset/decorators`.
import { createCache, memory } from "hotset";
import { cached, cachedMethod } from "hotset/decorators";

const cache = createCache({ name: "shop" }).tier(memory()).build();

class Catalog {
  @cached(cache, { name: "price", tags: (cents: number, sku: string) => [`${cents} ${sku}`] })
  async price(sku: string, _currency?: string): Promise<number> {
    return sku.length;
  }

  @cached(cache, { name: "page", key: ({ href }: URL) => href })
  async page(_url: URL): Promise<void> {}

  // @ts-expect-error: a URL is not plain data, so a key is needed
  @cached(cache, { name: "page" })
  async pageByArguments(_url: URL): Promise<void> {}

  // @ts-expect-error: the key takes a number, the method a text
  @cached(cache, { name: "id", key: (id: number) => `${id}` })
  async byText(_id: string): Promise<void> {}

  // @ts-expect-error: the tags are of a text, the method gives a number
  @cached(cache, { name: "tagged", tags: (value: string) => [value] })
  async number(): Promise<number> {
    return 1;
  }

  // @ts-expect-error: a method that returns no promise would have to return one
  @cached(cache, { name: "now" })
  now(): number {
    return 1;
  }

  // @ts-expect-error: the options are of another class
  @cached(cache, (_other: Map<string, string>) => ({ name: "other" }))
  async other(): Promise<void> {}

  // @ts-expect-error: a name is needed
  @cached(cache, { ttl: "1m" })
  async unnamed(): Promise<void> {}
}

const catalog = new Catalog();
export const invalidated: Promise<unknown> = cachedMethod(catalog, "price").invalidate("a");
// @ts-expect-error: price takes a text
void cachedMethod(catalog, "price").invalidate(1);
