import { randomBytes } from "./platform.ts";

/** So many letters, the first ones of each id, are the same in all ids of one process. */
const MARK = 4;
const RANDOM = 12;
/** 9 bytes are 12 letters. One call serves many ids: spread, the bytes would cost half a kilobyte for each. */
const POOL_BYTES = 9 * 128;

let mark = "";
let pool = "";
let used = 0;

/**
 * Names a write, or the holder of a lease: base64url, 24 random bits of this process and 72 of this id, which cannot be
 * guessed. A counter could repeat after a failover. By its first letters a process recognises what it wrote itself, and
 * an inspector which process wrote an entry: see {@link writerOf}.
 */
export function newId(): string {
  mark ||= lettersOf(3);
  if (used === pool.length) {
    pool = lettersOf(POOL_BYTES);
    used = 0;
  }
  return mark + pool.slice(used, (used += RANDOM));
}

/** The letters by which the process is known that made this id; `undefined` for another kind of id. */
export const writerOf = (id: string | undefined): string | undefined =>
  id?.length === MARK + RANDOM ? id.slice(0, MARK) : undefined;

function lettersOf(bytes: number): string {
  const base64 = btoa(Reflect.apply(String.fromCharCode, undefined, randomBytes(bytes)) as string);
  return base64.replaceAll("+", "-").replaceAll("/", "_");
}
