import { describe, expect, it } from "vitest";
import type { Compressor, CompressorOptions } from "../contracts/backend.ts";
import { InvalidArgumentError } from "../contracts/errors.ts";
import { brotli } from "./brotli.ts";
import { gzip } from "./gzip.ts";
import { resolveCompressorOptions } from "./options.ts";

describe.each<[id: string, compressor: (options?: CompressorOptions) => Compressor, max: number]>([
  ["gzip", gzip, 9],
  ["brotli", brotli, 11],
])("options of %s", (id, compressor, max) => {
  it.each<[options: unknown, message: string]>([
    [null, `${id}: null are no options; give an object with level and minBytes, or nothing`],
    [6, `${id}: 6 are no options; give an object with level and minBytes, or nothing`],
    [{ levle: 1 }, `${id}: there is no option "levle"; the options are level and minBytes`],
    [{ level: -1 }, `${id}: level: -1 is no level; give a whole number from 0 to ${max}`],
    [{ level: max + 1 }, `${id}: level: ${max + 1} is no level; give a whole number from 0 to ${max}`],
    [{ level: 1.5 }, `${id}: level: 1.5 is no level; give a whole number from 0 to ${max}`],
    [{ level: "6" }, `${id}: level: "6" is no level; give a whole number from 0 to ${max}`],
    [{ level: NaN }, `${id}: level: NaN is no level; give a whole number from 0 to ${max}`],
    [{ minBytes: -1 }, `${id}: minBytes: -1 is no size; give a whole number of bytes from 0 on, or Infinity`],
    [{ minBytes: 0.5 }, `${id}: minBytes: 0.5 is no size; give a whole number of bytes from 0 on, or Infinity`],
    [{ minBytes: "1kb" }, `${id}: minBytes: "1kb" is no size; give a whole number of bytes from 0 on, or Infinity`],
    [{ minBytes: null }, `${id}: minBytes: null is no size; give a whole number of bytes from 0 on, or Infinity`],
  ])("refuses %o and says what is accepted", (options, message) => {
    const act = () => compressor(options as CompressorOptions);

    expect(act).toThrow(InvalidArgumentError);
    expect(act).toThrow(expect.objectContaining({ message }));
  });

  it.each([
    [undefined, 1024],
    [{}, 1024],
    [{ minBytes: undefined }, 1024],
    [{ minBytes: 0 }, 0],
    [{ minBytes: Infinity }, Infinity],
  ])("given %o compresses from %d bytes on", (options, minBytes) => {
    expect(compressor(options as CompressorOptions | undefined).minBytes).toBe(minBytes);
  });

  it.each([0, max])("takes the level %d", async (level) => {
    const bytes = Buffer.alloc(2_000, "kettle ");
    const taken = compressor({ level });

    expect(Buffer.from(await taken.decompress(await taken.compress(bytes), 2_000)).equals(bytes)).toBe(true);
  });
});

it("takes the default level for undefined", () => {
  expect(resolveCompressorOptions("x", { level: undefined } as object, { min: -7, max: 22, default: 3 })).toEqual({
    level: 3,
    minBytes: 1024,
  });
  expect(resolveCompressorOptions("x", { level: -7 }, { min: -7, max: 22, default: 3 })).toEqual({
    level: -7,
    minBytes: 1024,
  });
});
