import { msgpackr } from "./msgpackr.ts";

/*
 * Marks. Values that msgpackr cannot distinguish are written as an array that begins with the byte c1, which
 * MessagePack never uses:
 *
 *     [c1, 0, key, value, key, value]   a Map, which msgpackr would write like an object
 *     [c1, 1, bytes]                    text with a lone surrogate, in UTF-16 (little endian)
 *
 * A value cannot contain c1, so none of its arrays can be mistaken for a mark.
 */

const MAP = 0;
const TEXT = 1;

/** The mark of a `Map`; `written` converts each key and value. */
export function mapMark(map: ReadonlyMap<unknown, unknown>, written: (member: unknown) => unknown): readonly unknown[] {
  const mark: unknown[] = [msgpackr.C1, MAP];
  for (const [key, value] of map) mark.push(written(key), written(value));
  return mark;
}

export const textMark = (text: string): readonly unknown[] => [msgpackr.C1, TEXT, Buffer.from(text, "utf16le")];

/**
 * The value of a mark, whose first element may be anything.
 *
 * @throws {Error} for a malformed mark.
 */
export function marked(mark: readonly unknown[]): unknown {
  if (mark[1] === MAP && mark.length % 2 === 0) {
    const map = new Map<unknown, unknown>();
    for (let i = 2; i < mark.length; i += 2) map.set(mark[i], mark[i + 1]);
    return map;
  }
  if (mark[1] === TEXT && mark.length === 3 && Buffer.isBuffer(mark[2])) return mark[2].toString("utf16le");
  throw new Error("a mark is malformed");
}
