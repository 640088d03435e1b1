import { describeCompressor } from "@hotset/testing/contract-suites";
import { expect, it } from "vitest";
import { DecodeError } from "../contracts/errors.ts";
import { passthrough } from "./passthrough.ts";

describeCompressor("passthrough", { open: () => passthrough() });

it("passthrough hands on the very bytes it is given", () => {
  const bytes = Uint8Array.of(1, 2, 3);

  expect(passthrough().id).toBe("none");
  expect(passthrough().compress(bytes)).toBe(bytes);
  expect(passthrough().decompress(bytes, 3)).toBe(bytes);
  expect(() => passthrough().decompress(bytes, 2)).toThrow(DecodeError);
  expect(() => passthrough().decompress(bytes, 2)).toThrow("none: 3 bytes are more than the 2 allowed");
});
