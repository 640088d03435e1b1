import { expect, it } from "vitest";
import { nothingIn, reachedIn } from "./reach.ts";
import { waysTo } from "./ways.ts";

it("H104 what a handler can reach of its client is listed, and a load reaches none of it", () => {
  expect(reachedIn(process.execPath)).toEqual(nothingIn(process.versions.node.split(".", 1)[0]!));
});

it("H104 the search finds what is planted: a field, a getter, a symbol, an entry, an object behind a prototype", () => {
  const socket = { of: "the client" };
  class Holder {
    readonly #held = socket;
    get held(): object {
      return this.#held;
    }
  }
  const given = {
    text: { a: { b: "sid=of-one-client" } },
    getter: new Holder(),
    symbol: { [Symbol("kSocket")]: socket },
    entry: new Map([["x", { port: 4_711 }]]),
    behind: Object.create({ socket }) as object,
    nothing: { a: "page", n: 1 },
  };
  const find = (name: keyof typeof given): readonly string[] =>
    waysTo({ [name]: given[name] }, { objects: new Set([socket]), numbers: new Set([4_711]), text: "of-one-client" });
  expect([find("text"), find("getter"), find("symbol"), find("entry"), find("behind"), find("nothing")]).toEqual([
    ["text.a.b"],
    ["getter.held"],
    ["symbol.Symbol(kSocket)"],
    ["entry[entry].port"],
    ["behind.socket"],
    [],
  ]);
});
