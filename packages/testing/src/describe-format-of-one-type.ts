import type { Format } from "@hotset/core";
import { beforeEach, describe, expect, it } from "vitest";
import { attempt, expectReadWithItsLimit, expectUnpolluted } from "./decoded.ts";
import { randomFrom } from "./random.ts";

/** `describeFormat` for a format that writes values like `values`, and refuses all others. */
export function describeFormatOfOneType(name: string, open: () => Format, values: readonly unknown[]): void {
  if (values.length === 0) throw new TypeError(`describeFormat("${name}"): values is empty, accepted is at least one`);

  describe(`format ${name}`, () => {
    let format: Format;
    const numbered = values.map((value, i) => [i, value] as const);

    beforeEach(() => {
      format = open();
    });

    /** Expects what holds after every answer: all values come back, and no prototype has changed. */
    const expectWorks = (): void => {
      for (const value of values) expect(format.decode(format.encode(value))).toStrictEqual(value);
      expectUnpolluted();
    };

    it("has an id that can be stored: 1 to 32 of a-z 0-9 . -", () => {
      expect(format.id).toMatch(/^[a-z0-9.-]{1,32}$/);
      expect(open().id).toBe(format.id);
    });

    it.each(numbered)("keeps values[%i]", (_, value) => {
      expect(format.decode(format.encode(value))).toStrictEqual(value);
    });

    it.each(numbered)("reads with a maxBytes what it wrote with it: values[%i]", (_, value) => {
      expectReadWithItsLimit(format, value);
    });

    it.each(numbered)("does not change its input: values[%i], and the bytes", (_, value) => {
      const before = attempt(() => structuredClone(value));
      const bytes = format.encode(value);
      const bytesBefore = Uint8Array.from(bytes);
      format.decode(bytes);

      // A clone has lost its class.
      if (!(before instanceof Error)) expect(value).toEqual(before);
      expect(Buffer.compare(bytes, bytesBefore)).toBe(0);
    });

    it("returns bytes that later encodes do not change", () => {
      const kept = values.map((value) => ({ value, bytes: format.encode(value) }));
      for (let round = 0; round < 200; round++) for (const value of values) format.encode(value);

      for (const { value, bytes } of kept) expect(format.decode(bytes)).toStrictEqual(value);
    });

    it.each(numbered)("returns a value that shares no memory with the bytes: values[%i]", (_, value) => {
      const bytes = Uint8Array.from(format.encode(value));
      const decoded = format.decode(bytes);
      bytes.fill(0xff);

      expect(decoded).toStrictEqual(value);
    });

    it.each(numbered)("reads bytes that lie anywhere in memory: values[%i]", (_, value) => {
      const bytes = format.encode(value);
      const within = new Uint8Array(bytes.byteLength + 40).fill(0x20);
      within.set(bytes, 7);

      expect(format.decode(within.subarray(7, 7 + bytes.byteLength))).toStrictEqual(value);
      expect(format.decode(Buffer.from(within.buffer, 7, bytes.byteLength))).toStrictEqual(value);
    });

    it.each<[what: string, value: unknown]>([
      ["a function", () => 1],
      ["a symbol", Symbol("s")],
    ])("refuses %s, and then works on", (_, value) => {
      expect(() => format.encode(value)).toThrow();
      expectWorks();
    });

    it("answers foreign bytes with an error or with a value, and works afterwards", () => {
      const random = randomFrom(2);
      for (let round = 0; round < 3_000; round++) attempt(() => format.decode(random.bytes(random.below(64))));

      expectWorks();
    });

    it.each(numbered)(
      "answers bytes that are cut short or damaged with an error or with a value, and works afterwards: values[%i]",
      (_, value) => {
        const random = randomFrom(3);
        const intact = format.encode(value);
        for (let round = 0; round < 300; round++) {
          attempt(() => format.decode(intact.subarray(0, random.below(intact.byteLength + 1))));
          const damaged = Uint8Array.from(intact);
          for (let flips = random.below(3); flips >= 0 && damaged.byteLength > 0; flips--)
            damaged[random.below(damaged.byteLength)] = random.below(256);
          attempt(() => format.decode(damaged));
        }

        expectWorks();
      },
    );
  });
}
