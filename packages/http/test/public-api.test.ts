import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const sources = join(import.meta.dirname, "../src");

/** Members that Node keeps for itself, by name or by symbol. */
const PRIVATE = /\._[a-z]\w*|\b_(?:write|writev|read|final|destroy|send|header|writeRaw)\b|\bkOut\w+|\bkNeedDrain\b/g;
/** What a stream implements is documented. */
const IMPLEMENTED = /override _(?:read|write|writev|destroy)\(/g;

it("H88 adapters call and replace public methods of Node alone: no release may change them", () => {
  const found = readdirSync(sources, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .flatMap((name) => {
      const text = readFileSync(join(sources, name), "utf8").replace(IMPLEMENTED, "");
      return [...text.matchAll(PRIVATE)].map(([each]) => `${name}: ${each}`);
    });
  expect(found).toEqual([]);
});
