import { randomBytes } from "./platform.ts";

let pool = "";
let used = 0;

/**
 * 96 random bits, base64url: names a write, or the holder of a lease, and cannot be guessed. A counter could repeat
 * after a failover. One call serves many.
 */
export function newId(): string {
  if (used === pool.length) {
    // Spread, the bytes would cost half a kilobyte for each id.
    const base64 = btoa(Reflect.apply(String.fromCharCode, undefined, randomBytes(12 * 128)) as string);
    pool = base64.replaceAll("+", "-").replaceAll("/", "_");
    used = 0;
  }
  return pool.slice(used, (used += 16));
}
