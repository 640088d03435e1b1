import type { NamespacePlace } from "@hotset/core/internal";
import type { Followed } from "./outbox.ts";

/** Where the entries of a cache are; `undefined` for an object that `createCache` has not made. */
export function placeOf(cache: Followed): NamespacePlace | undefined {
  const given = cache as unknown as { readonly [PLACE]?: () => NamespacePlace };
  try {
    return given[PLACE]?.();
  } catch {
    // A proxy of a cache, for example.
    return undefined;
  }
}

const PLACE: unique symbol = Symbol.for("hotset.place");
