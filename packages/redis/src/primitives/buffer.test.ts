import { Random } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { WebBuffer } from "./buffer.ts";

const random = new Random(94);
const bytes = (): number[] => Array.from({ length: random.below(40) }, () => random.below(256));
const texts = ["", "plain", "ké", "\u{1f600}\0", "\ufeffmark", "a".repeat(20_000)];

/** The same done with both. */
function both<T>(does: (kind: typeof Buffer) => T): readonly [web: T, node: T] {
  return [does(WebBuffer as unknown as typeof Buffer), does(Buffer)];
}

describe("stands in for the Buffer of Node", () => {
  it.each(texts)("text %j", (text) => {
    for (const encoding of ["utf8", "latin1"] as const) {
      const [web, node] = both((kind) => [...kind.from(text, encoding)]);
      expect(web).toEqual(node);
      const [read, expected] = both((kind) => kind.from(text).toString(encoding, 1, 30_000));
      expect(read).toBe(expected);
    }
    expect(WebBuffer.byteLength(text)).toBe(Buffer.byteLength(text));
    const [web, node] = both((kind) => {
      const into = kind.alloc(20_010);
      return [into.write(text, 3, "latin1"), into.write(text, 5), ...into];
    });
    expect(web).toEqual(node);
  });

  it("compares, joins and takes parts", () => {
    for (let run = 0; run < 500; run += 1) {
      const [one, other] = [bytes(), bytes()];
      if (run % 3 === 0) other.splice(0, 5, ...one.slice(0, 5));
      const [from, to] = [random.below(10), 10 + random.below(40)];
      const [web, node] = both((kind) => {
        const [mine, its] = [kind.from(one), kind.from(other)];
        const part = mine.subarray(from, to);
        return [
          mine.compare(its),
          mine.equals(its),
          mine.compare(its, 0, Math.min(2, its.length), 0, Math.min(2, mine.length)),
          kind.isBuffer(part),
          ...kind.concat([mine, its, part]),
        ];
      });
      expect(web).toEqual(node);
    }
  });

  it("reads and writes whole numbers", () => {
    for (const value of [0, 1, 255, 65_535, 65_536, 2 ** 32 - 1, 2 ** 47, 2 ** 48 - 1]) {
      const [web, node] = both((kind) => {
        const into = kind.alloc(16);
        const at = [
          into.writeUIntBE(value, 1, 6),
          into.writeUInt16BE(value % 65_536, 8),
          into.writeUInt32BE(value % 2 ** 32, 10),
        ];
        return [...at, into.readUIntBE(1, 6), into.readUInt16BE(8), into.readUInt32BE(10), ...into];
      });
      expect(web).toEqual(node);
    }
  });
});
