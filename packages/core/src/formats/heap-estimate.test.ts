import { v8 } from "@hotset/formats";
import { describe, expect, it } from "vitest";
import { HeapEstimate, indexIn, MAX_DEPTH } from "./heap-estimate.ts";
import { json } from "./json.ts";

const bytesOf = (text: string): Uint8Array => Buffer.from(text);
const heapOf = (...objects: readonly (readonly string[])[]): number => {
  const heap = new HeapEstimate(1_024);
  for (const names of objects) {
    heap.object(3);
    for (const name of names) heap.name(3, bytesOf(name), 0, name.length);
  }
  return heap.bytes;
};

describe("HeapEstimate", () => {
  it("counts a new name in full, and 8 bytes for one that was there before", () => {
    expect(heapOf(["id", "name"])).toBe(64 + 128 + 2 + 128 + 4);
    expect(heapOf(["id", "name"], ["id", "name"]) - heapOf(["id", "name"])).toBe(64 + 8 + 8);
  });

  it.each([
    ["in another order", ["name", "id"]],
    ["after another name", ["x", "id"]],
    ["divided elsewhere", ["idn", "ame"]],
  ])("counts names %s as new", (_, names) => {
    expect(heapOf(["id", "name"], names) - heapOf(["id", "name"])).toBe(64 + 256 + names.join("").length);
  });

  it("counts 8 bytes for a name that was there before, wherever it is in the bytes", () => {
    const heap = new HeapEstimate(1_024);
    heap.object(0);
    heap.name(0, bytesOf("id"), 0, 2);
    const before = heap.bytes;
    heap.object(0);
    heap.name(0, bytesOf("...id"), 3, 5);
    expect(heap.bytes - before).toBe(64 + 8);
  });

  it("counts on the deepest level as on any other", () => {
    const heap = new HeapEstimate(1_024);
    heap.object(MAX_DEPTH);
    heap.index(MAX_DEPTH, 900);
    heap.index(MAX_DEPTH, 1_000);
    expect(heap.bytes).toBe(64 + 64 + 8 * 1_367 + 8);
    heap.name(MAX_DEPTH, bytesOf("id"), 0, 2);
    const before = heap.bytes;
    heap.object(MAX_DEPTH);
    heap.name(MAX_DEPTH, bytesOf("id"), 0, 2);
    expect(heap.bytes - before).toBe(64 + 8);
  });

  it("counts the room that an index claims, once", () => {
    const heap = new HeapEstimate(1_024);
    heap.object(0);
    heap.index(0, 900);
    expect(heap.bytes).toBe(64 + 64 + 8 * 1_367);
    heap.index(0, 1_000);
    expect(heap.bytes).toBe(64 + 64 + 8 * 1_367 + 8);
    heap.index(0, 1_367 + 1_024);
    expect(heap.bytes).toBe(64 + 64 + 8 * 1_367 + 8 + 128);
    heap.index(0, 1_367 + 1_023);
    expect(heap.bytes).toBe(64 + 64 + 8 * 1_367 + 8 + 128 + 64 + 8 * 3_602);
    heap.object(0);
    heap.index(0, 0);
    expect(heap.bytes).toBe(64 + 64 + 8 * 1_367 + 8 + 128 + 64 + 8 * 3_602 + 64 + 64 + 8 * 17);
    heap.index(0, NaN);
    expect(heap.bytes).not.toBeNaN();
  });

  it("knows an index from other names", () => {
    const index = (name: string) => indexIn(bytesOf(name), 0, name.length);
    expect(["0", "900", "", "-1", "1.5", "9a", "a9"].map(index)).toEqual([0, 900, ...Array(5).fill(undefined)]);
    expect(indexIn(Buffer.from("90", "utf16le"), 0, 4, 2)).toBe(90);
    expect(indexIn(Uint8Array.of(0x39, 1), 0, 2, 2)).toBeUndefined();
  });
});

const MAX_BYTES = 12_000;
const TOO_MUCH = `it would take more than 4 times maxDecodedBytes (${MAX_BYTES} bytes) of memory`;

describe("json refuses values of too much memory", () => {
  const numbered = (node: (i: number) => string) => (count: number) =>
    `[${Array.from({ length: count }, (_, i) => node(i)).join(",")}]`;
  it.each<[what: string, of: (count: number) => string, count: number]>([
    ["empty objects", numbered(() => "{}"), 2_000],
    ["empty arrays", numbered(() => "[]"), 2_500],
    ["slots", numbered(() => "1"), 15_000],
    ["texts", numbered(() => '"ab"'), 4_000],
    ["texts with quotes", numbered(() => '"\\""'), 4_000],
    ["different names", numbered((i) => `{"a${i}":1}`), 600],
    ["different names, with a space", numbered((i) => `{"a${i}"\n :1}`), 600],
    ["indexes", numbered(() => '{"30":0}'), 400],
    ["names of one object", (count) => `{${numbered((i) => `"a${i}":1`)(count).slice(1, -1)}}`, 1_000],
  ])("%s", (_, of, count) => {
    expect(() => json().decode(bytesOf(of(count)), MAX_BYTES)).toThrow(TOO_MUCH);
    expect(() => json().encode(JSON.parse(of(count)), MAX_BYTES)).toThrow(
      expect.objectContaining({
        code: "ENCODE_FAILED",
        message: `json: the value could not be read back: ${TOO_MUCH}`,
      }),
    );
    const few = of(Math.floor(count / 10));
    expect(json().decode(bytesOf(few), MAX_BYTES)).toEqual(JSON.parse(few));
  });

  it("but not brackets, commas and names inside of text", () => {
    const text = '"[]{},"'.repeat(1_000);
    expect(json().decode(json().encode(text, MAX_BYTES), MAX_BYTES)).toBe(text);
  });
});

describe("v8 refuses values of too much memory", () => {
  /** Nodes in a Set. */
  const cloned = (node: string, count: number): Uint8Array =>
    Buffer.from(
      `ff0f27${node.repeat(count)}2c${Buffer.from([(count & 0x7f) | 0x80, count >>> 7]).toString("hex")}`,
      "hex",
    );
  it.each<[what: string, node: string, count: number]>([
    ["empty objects", "6f7b00", 1_000],
    ["empty arrays", "4100240000", 1_500],
    ["empty buffers", "4200", 1_000],
    ["buffers that can grow", "7e00e807", 150],
    ["typed arrays", "5c080100", 500],
    ["Maps", "3b3a00", 800],
    ["dates", "440000000000000000", 1_500],
    ["boxes", "79", 2_000],
    ["boxed texts", "7322026162", 1_500],
    ["texts", "22026162", 3_000],
    ["holes", "61e8074000e807", 20],
    ["objects with an index", "6f4988 0e 4902 7b01".replaceAll(" ", ""), 20],
    ["objects with an index without a sign", "6f558407 4902 7b01".replaceAll(" ", ""), 20],
    ["objects with an index as text", "6f2203393030 4902 7b01".replaceAll(" ", ""), 20],
    ["objects with an index as UTF-16", "6f6306390030003000 4902 7b01".replaceAll(" ", ""), 20],
    ["objects with an index as a double", "6f4e0000000000208c40 4902 7b01".replaceAll(" ", ""), 20],
  ])("%s", (_, node, count) => {
    expect(() => v8().decode(cloned(node, count), MAX_BYTES)).toThrow(TOO_MUCH);
    expect((v8().decode(cloned(node, Math.floor(count / 10)), MAX_BYTES) as Set<unknown>).size).toBeGreaterThan(0);
  });

  it("padding pays for nothing", () => {
    const holes = [0x61, 0xc0, 0x95, 0xde, 0x0f, 0x40, 0, 0xc0, 0x95, 0xde, 0x0f];
    const padded = Buffer.concat([Uint8Array.of(0xff, 0x0f), Buffer.alloc(4 * 2 ** 20), Uint8Array.from(holes)]);
    expect(() => v8().decode(padded)).toThrow("it would take more than 4 times maxDecodedBytes");
  });
});

it("typed arrays of v8 have memory of their own, of their own size", () => {
  const value = ["x", new Float64Array([1.5]), Buffer.from("ab"), new DataView(new ArrayBuffer(3)), new Uint16Array(2)];
  for (const padding of ["", "a", "abc"]) {
    const decoded = v8().decode(v8().encode([padding, ...value])) as readonly unknown[];
    expect(decoded).toStrictEqual([padding, ...value]);
    const views = decoded.filter(ArrayBuffer.isView);
    expect(views.map(({ buffer, byteOffset }) => [buffer.byteLength, byteOffset])).toEqual([
      [8, 0],
      [2, 0],
      [3, 0],
      [4, 0],
    ]);
    expect(Buffer.isBuffer(decoded[3])).toBe(true);
  }
});
