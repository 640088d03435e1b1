import { randomBytes } from "./platform.ts";

let pool = "";
let used = 0;

/**
 * 96 random bits, base64url: names a write, or the holder of a lease, and cannot be guessed. One call serves many.
 */
export function newId(): string {
  if (used === pool.length) {
    const base64 = btoa(String.fromCharCode(...randomBytes(12 * 128)));
    pool = base64.replaceAll("+", "-").replaceAll("/", "_");
    used = 0;
  }
  return pool.slice(used, (used += 16));
}
