// Not imported at the top: loading node:crypto takes nearly as long as importing all of core.
const crypto = (): typeof import("node:crypto") => process.getBuiltinModule("node:crypto");

let pool = "";
let used = 0;

/**
 * 96 random bits in 16 characters, base64url: names a write, or the holder of a lease, and cannot be guessed. One
 * system call serves many.
 */
export function newId(): string {
  if (used === pool.length) {
    pool = crypto()
      .randomBytes(12 * 128)
      .toString("base64url");
    used = 0;
  }
  return pool.slice(used, (used += 16));
}
