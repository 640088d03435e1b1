import type { Format } from "@hotset/core";
import { expect, it } from "vitest";
import { describeFormat } from "./describe-format.ts";

/** Lists of numbers as float64, and nothing else. */
const float64 = (): Format => ({
  id: "float64.1",
  encode(value) {
    if (!Array.isArray(value) || !value.every((item) => typeof item === "number"))
      throw new TypeError("float64 writes lists of numbers only");
    return new Uint8Array(Float64Array.from(value).buffer);
  },
  decode(bytes) {
    if (bytes.byteLength % 8 !== 0) throw new RangeError("float64 reads whole numbers of 8 bytes only");
    return [...new Float64Array(new Uint8Array(bytes).buffer)];
  },
});

describeFormat("float64, of one type", {
  open: float64,
  values: [[], [1.5, -0, Infinity, NaN], Array.from({ length: 10_000 }, (_, i) => i / 7)],
});

it("describeFormat refuses values without any, which would test nothing", () => {
  expect(() => describeFormat("nothing", { open: float64, values: [] })).toThrow(
    new TypeError('describeFormat("nothing"): values is empty, accepted is at least one'),
  );
});
