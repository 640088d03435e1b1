import { brotli } from "@hotset/formats";
import { gzip } from "@hotset/formats";
import { describe, expect, it } from "vitest";
import type { Compressor, CompressorOptions } from "../contracts/backend.ts";
import { ConfigurationError, InvalidArgumentError } from "../contracts/errors.ts";
import { resolveCompressorOptions } from "./compressor-options.ts";

describe.each<[id: string, compressor: (options?: CompressorOptions) => Compressor, max: number]>([
  ["gzip", gzip, 9],
  ["brotli", brotli, 11],
])("options of %s", (id, compressor, max) => {
  it.each<[options: unknown, message: string]>([
    [null, `${id}: options must be an object, got null; accepted: level, minBytes`],
    [6, `${id}: options must be an object, got a number; accepted: level, minBytes`],
    [{ levle: 1 }, `${id}: unknown option "levle"; did you mean level?; accepted: level, minBytes`],
    [{ level: -1 }, `${id}: level must be a whole number from 0 to ${max}, got -1`],
    [{ level: max + 1 }, `${id}: level must be a whole number from 0 to ${max}, got ${max + 1}`],
    [{ level: 1.5 }, `${id}: level must be a whole number from 0 to ${max}, got 1.5`],
    [{ level: "6" }, `${id}: level must be a whole number from 0 to ${max}, got "6"`],
    [{ level: NaN }, `${id}: level must be a whole number from 0 to ${max}, got NaN`],
    [{ minBytes: -1 }, `${id}: minBytes must be a whole number of at least 0, or Infinity, got -1`],
    [{ minBytes: 0.5 }, `${id}: minBytes must be a whole number of at least 0, or Infinity, got 0.5`],
    [{ minBytes: "1kb" }, `${id}: minBytes must be a whole number of at least 0, or Infinity, got "1kb"`],
    [{ minBytes: null }, `${id}: minBytes must be a whole number of at least 0, or Infinity, got null`],
    [[6], `${id}: options must be an object, got an array; accepted: level, minBytes`],
  ])("refuses %o and names the accepted values", (options, message) => {
    const act = () => compressor(options as CompressorOptions);

    expect(act).toThrow(message.includes("accepted: ") ? ConfigurationError : InvalidArgumentError);
    expect(act).toThrow(expect.objectContaining({ message }));
  });

  it.each([
    [undefined, 1024],
    [{}, 1024],
    [{ minBytes: undefined }, 1024],
    [{ minBytes: 0 }, 0],
    [{ minBytes: Infinity }, Infinity],
  ])("given %o compresses from %d bytes on", (options, minBytes) => {
    expect(compressor(options).minBytes).toBe(minBytes);
  });

  it.each([0, max])("takes the level %d", async (level) => {
    const bytes = Buffer.alloc(2_000, "kettle ");
    const taken = compressor({ level });

    expect(Buffer.from(await taken.decompress(await taken.compress(bytes), 2_000)).equals(bytes)).toBe(true);
  });
});

it("takes the default level for undefined", () => {
  expect(resolveCompressorOptions("x", { level: undefined }, { min: -7, max: 22, default: 3 })).toEqual({
    level: 3,
    minBytes: 1024,
  });
  expect(resolveCompressorOptions("x", { level: -7 }, { min: -7, max: 22, default: 3 })).toEqual({
    level: -7,
    minBytes: 1024,
  });
});
