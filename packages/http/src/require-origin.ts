import { ConfigurationError } from "@hotset/core";
import type { HttpCache } from "./index.ts";

/** A server must know its origin: any client can send any Host. */
export function requireOrigin(cache: HttpCache, of: string): void {
  if (cache.isServer) return;
  throw new ConfigurationError(
    `${of}: say which origin this is: httpCache(namespace, { base: "https://shop.example" }), or hosts`,
  );
}
