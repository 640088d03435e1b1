import { describe, expect, it } from "vitest";
import { MAX_DEPTH } from "./heap-estimate.ts";
import { isFlat } from "./json-text.ts";
import { json } from "./json.ts";

const format = json();

/** Fails when it is looked into. */
const WALKED = {
  get inner(): never {
    throw new Error("walked");
  },
};

/** Values that bring brackets of their own, in text or as a neighbour. */
const NEIGHBOURS: readonly unknown[] = [[], {}, [[]], "},{", "],[", "[{", { "},{": [] }, [{}, {}], [[], []]];

describe("JSON of many brackets", () => {
  it.each([
    ["objects", { rows: Array.from({ length: 2_000 }, (_, id) => ({ id, name: "},{" })) }],
    ["arrays", Array.from({ length: 2_000 }, (_, id) => [id, "],["])],
  ])("is not walked where they are a list of %s", (_, value) => {
    expect(isFlat(JSON.stringify(value), WALKED)).toBe(true);
  });

  it("is walked where a list could be deep", () => {
    const value = Array.from({ length: 2_000 }, () => ({ tags: ["a"] }));
    expect(() => isFlat(JSON.stringify(value), WALKED)).toThrow("walked");
  });

  it.each(NEIGHBOURS.map((each) => [JSON.stringify(each), each]))(
    "is refused when it is nested too deep, with %s beside each level, and no level earlier",
    (_, neighbour) => {
      const own = JSON.stringify(neighbour);
      const depthOfOwn = own.startsWith('"') ? 0 : 2;
      const nested = (levels: number): Buffer => {
        let text = "0";
        for (let level = 0; level < levels; level += 1)
          text = level % 2 === 0 ? `[${own},${text},${own}]` : `{"a":${own},"b":${text}}`;
        return Buffer.from(text);
      };
      expect(() => format.decode(nested(MAX_DEPTH + 1))).toThrow("levels deep");
      expect(format.decode(nested(MAX_DEPTH - depthOfOwn))).toBeTypeOf("object");
    },
  );
});
