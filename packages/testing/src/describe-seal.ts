import type { Seal } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { randomFrom } from "./random.ts";

type Sealing = Omit<Seal, "around">;

/**
 * The contract of {@link Seal}, as a suite for Vitest; calls `describe` itself. Throws nothing: a broken promise of the
 * contract is a failed test.
 *
 * @param options `open` returns a seal with the same secret for each test, `other` one with another secret.
 */
export function describeSeal(name: string, options: { open(): Sealing; other(): Sealing }): void {
  const random = randomFrom(11);
  const context = Buffer.from('["shop::","user:1"]');
  const value = Buffer.from("a copper kettle for the kitchen");
  const open = async (bytes: Uint8Array, under: Uint8Array = context): Promise<Uint8Array> =>
    options.open().open(bytes, under);
  const refused = async (bytes: Uint8Array, under?: Uint8Array): Promise<boolean> =>
    open(bytes, under).then(
      () => false,
      () => true,
    );

  describe(`seal ${name}`, () => {
    it("has an id that can be stored: 1 to 32 of a-z 0-9 . -", () => {
      expect(options.open().id).toMatch(/^[a-z0-9.-]{1,32}$/);
      expect(options.open().id).toBe(options.other().id);
    });

    it.each<[what: string, bytes: Uint8Array]>([
      ["nothing", new Uint8Array(0)],
      ["one byte", Uint8Array.of(0xff)],
      ["64 KiB + 1", random.bytes(64 * 1024 + 1)],
      ["a part of a larger buffer", random.bytes(500).subarray(17, 402)],
    ])("opens %s in another process, and does not change its input", async (_, bytes) => {
      const before = Uint8Array.from(bytes);
      const sealed = await options.open().seal(bytes, context);
      const sealedBefore = Uint8Array.from(sealed);
      expect(Buffer.compare(await open(sealed), before)).toBe(0);
      expect(Buffer.compare(bytes, before)).toBe(0);
      expect(Buffer.compare(sealed, sealedBefore)).toBe(0);
    });

    it("opens nothing under another context", async () => {
      const sealed = await options.open().seal(value, context);
      for (const other of [Buffer.alloc(0), context.subarray(1), Buffer.concat([context, Buffer.of(0)])])
        expect(await refused(sealed, other)).toBe(true);
    });

    it("opens nothing in which one bit was changed", async () => {
      const sealed = await options.open().seal(value, context);
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        const changed = Uint8Array.from(sealed);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        expect(await refused(changed), `bit ${bit}`).toBe(true);
      }
    });

    it("opens nothing that was cut short, lengthened, or put together from two", async () => {
      const sealed = await options.open().seal(value, context);
      const second = await options.open().seal(Buffer.from("a copper kettle for the gardens"), context);
      for (let length = 0; length < sealed.length; length++)
        expect(await refused(sealed.slice(0, length)), `${length} bytes`).toBe(true);
      expect(await refused(Buffer.concat([sealed, Buffer.of(0)]))).toBe(true);
      expect(await refused(Buffer.concat([Buffer.of(0), sealed]))).toBe(true);
      const middle = sealed.length - value.length;
      expect(await refused(Buffer.concat([sealed.subarray(0, middle), second.subarray(middle)]))).toBe(true);
    });

    it("opens nothing that another secret sealed, and no plain bytes", async () => {
      expect(await refused(await options.other().seal(value, context))).toBe(true);
      expect(await refused(value)).toBe(true);
    });
  });
}
