import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvalidArgumentError } from "../contracts/errors.ts";
import { keyOf } from "./key-of.ts";

describe("keyOf", () => {
  // Keys outlive processes and versions: a line that changes here makes every stored entry unreachable.
  it.each<[key: string, name: string, parts: unknown[]]>([
    ["user", "user", []],
    ["user:42", "user", [42]],
    ['user:"42"', "user", ["42"]],
    ["user:ada", "user", ["ada"]],
    ["user:ada:7", "user", ["ada", 7]],
    ["user:0", "user", [-0]],
    ["user:-1.5", "user", [-1.5]],
    ["user:1e+21", "user", [1e21]],
    ["user:1e21", "user", ["1e21"]],
    ["user:042", "user", ["042"]],
    ["user:Infinity:-Infinity", "user", [Infinity, -Infinity]],
    ['user:"Infinity":"-Infinity":"NaN"', "user", ["Infinity", "-Infinity", "NaN"]],
    ["user:42n", "user", [42n]],
    ['user:"42n":042n', "user", ["42n", "042n"]],
    ["user:true:false:null", "user", [true, false, null]],
    ['user:"true":"false":"null":"undefined"', "user", ["true", "false", "null", "undefined"]],
    ['user:""', "user", [""]],
    ["user:():1", "user", [undefined, 1]],
    ['user:"()"', "user", ["()"]],
    ["user:1", "user", [1, undefined, undefined]],
    ["user", "user", [undefined]],
    ["user:a%3Ab", "user", ["a:b"]],
    ["user:100%25", "user", ["100%"]],
    ["user:a%253Ab", "user", ["a%3Ab"]],
    ['user:"[1]":"{}":"(x)":"\\"a\\""', "user", ["[1]", "{}", "(x)", '"a"']],
    ['user:a[1]{}(x)"', "user", ['a[1]{}(x)"']],
    ["user:-a:+:3f2c9a", "user", ["-a", "+", "3f2c9a"]],
    ["user: a b\n\0😀é", "user", [" a b\n\0😀é"]],
    ["user:2026-01-31T08%3A00%3A00.000Z", "user", [new Date("2026-01-31T08:00:00Z")]],
    ['user:"2026-01-31T08%3A00%3A00.000Z"', "user", ["2026-01-31T08:00:00.000Z"]],
    ["user:2026-01-31", "user", ["2026-01-31"]],
    ["user:+275760-09-13T00%3A00%3A00.000Z", "user", [new Date(8.64e15)]],
    ['search:{page=2,text="shoes"}', "search", [{ text: "shoes", page: 2 }]],
    ['search:{a={"1"=1n,"b-c"=null},b=[]}', "search", [{ b: [], a: { "b-c": null, "1": 1n } }]],
    ["search:{}", "search", [{ a: undefined }]],
    ['x:[1,"1",[true],()]', "x", [[1, "1", [true], undefined]]],
    ['x:{"a%3Ab"="c%3Ad"}', "x", [{ "a:b": "c:d" }]],
    ['x:["a\\nb\\"c"]', "x", [['a\nb"c']]],
    ["user%3Aprofile:1", "user:profile", [1]],
    ["100%25:1", "100%", [1]],
    ["42:42", "42", [42]],
    ["{}:{}", "{}", [{}]],
    ["x:{__proto__=1,constructor=2}", "x", [JSON.parse('{"constructor":2,"__proto__":1}')]],
    ["x:{a=1}", "x", [Object.assign(Object.create(null) as object, { a: 1 })]],
  ])("writes %s", (key, name, parts) => {
    expect(keyOf(name, ...(parts as never[]))).toBe(key);
  });

  it("gives keys from which name and parts can be parsed, so that no two are equal (R1-20)", () => {
    fc.assert(
      fc.property(
        text.filter((name) => name !== ""),
        fc.array(part, { maxLength: 4 }),
        (name, parts) => {
          const key = keyOf(name, ...(parts as never[]));

          expect(read(key)).toEqual({ name, parts: withoutTrailing(parts.map(normal)) });
        },
      ),
      { seed: 20260731, numRuns: 5_000 },
    );
  });

  it("does not depend on the order of properties", () => {
    fc.assert(
      fc.property(fc.dictionary(text, part), (object) => {
        const turned = Object.fromEntries(Object.entries(object).reverse());

        expect(keyOf("x", turned as never)).toBe(keyOf("x", object as never));
      }),
      { seed: 20260731 },
    );
  });

  it("distinguishes names and parts that differ only in where they end", () => {
    const keys = [
      keyOf("a:b", "c"),
      keyOf("a", "b:c"),
      keyOf("a", "b", "c"),
      keyOf("a", ["b", "c"]),
      keyOf("a", "b", ["c"]),
      keyOf("a%3Ab", "c"),
    ];

    expect(new Set(keys).size).toBe(keys.length);
  });

  const cycle: unknown[] = [1];
  cycle.push({ cycle });
  const twice = { shared: true };
  let deep: unknown = 1;
  for (let i = 0; i < 65; i++) deep = [deep];

  it.each<[what: string, parts: unknown[], message: string]>([
    ["NaN", [NaN], "keyOf: part 1: NaN cannot be part of a key; equal keys need equal values"],
    ["NaN inside", [1, { a: [NaN] }], "keyOf: part 2: NaN cannot be part of a key; equal keys need equal values"],
    [
      "an invalid date",
      [new Date(NaN)],
      "keyOf: part 1: an invalid date cannot be part of a key; give a date that exists",
    ],
    ["a cycle", [cycle], "keyOf: part 1: data that contains itself cannot be part of a key; give data without cycles"],
    ["depth", [deep], "keyOf: part 1: data nested more than 64 deep cannot be part of a key; give flatter data"],
    ["holes", [[1, , 2]], "keyOf: part 1: an array with holes cannot be part of a key; fill them"],
    ["many holes", [new Array(2 ** 32 - 1)], "keyOf: part 1: an array with holes cannot be part of a key; fill them"],
    ["a function", [() => 1], "keyOf: part 1: a function cannot be part of a key; give plain data"],
    ["a method", [{ f() {} }], "keyOf: part 1: a function cannot be part of a key; give plain data"],
    ["a symbol", [Symbol("s")], "keyOf: part 1: a symbol cannot be part of a key; give plain data"],
    [
      "a symbol as a name",
      [{ [Symbol("s")]: 1 }],
      "keyOf: part 1: an object with symbol properties cannot be part of a key; give plain data",
    ],
    ...[
      new Map(),
      new Set(),
      /a/,
      new URL("http://a"),
      new Uint8Array(1),
      new Error("e"),
      new (class A {})(),
      Object(1),
      Promise.resolve(),
    ].map((instance): [string, unknown[], string] => [
      instance.constructor.name,
      [instance],
      "keyOf: part 1: an instance of a class cannot be part of a key; give plain data, such as its id",
    ]),
    [
      "a lone surrogate",
      ["a\ud800"],
      "keyOf: part 1 must be well-formed text, got a lone surrogate, which UTF-8 cannot encode",
    ],
    [
      "a lone surrogate inside",
      [["\udc00"]],
      "keyOf: part 1 must be well-formed text, got a lone surrogate, which UTF-8 cannot encode",
    ],
    [
      "a lone surrogate in a name",
      [{ "\udc00": 1 }],
      "keyOf: part 1 must be well-formed text, got a lone surrogate, which UTF-8 cannot encode",
    ],
  ])("refuses %s and names an alternative", (_, parts, message) => {
    const act = () => keyOf("x", ...(parts as never[]));

    expect(act).toThrow(InvalidArgumentError);
    expect(act).toThrow(expect.objectContaining({ message }));
  });

  it("R1-20 writes an object in many places in each of them, and refuses a key of more than 65,536 characters", () => {
    const shared = (levels: number) => {
      let part: unknown = 1;
      for (let level = 0; level < levels; level++) part = [part, part];
      return part as never;
    };
    const tooLong = " must be at most 65536 characters as text, got more; give an id or a hash of the data";
    expect(() => keyOf("x", shared(18))).toThrow(`keyOf: part 1${tooLong}`);
    // Whole, 2 ** 60 places would take ages.
    expect(() => keyOf("x", { a: shared(60) })).toThrow(InvalidArgumentError);
    expect(() => keyOf("x", ["x".repeat(65_535)])).toThrow(`keyOf: part 1${tooLong}`);
    expect(() => keyOf("x", "x".repeat(65_535))).toThrow(`keyOf: the key${tooLong}`);
    expect(keyOf("x", ["x".repeat(65_530)])).toHaveLength(65_536);
    expect(keyOf("x", "x".repeat(65_534))).toHaveLength(65_536);
    const items = Array.from({ length: 1_000 }, () => [[1], { a: [2] }, "text"]);
    expect(keyOf("x", items as never, items as never)).toHaveLength(3 + 2 * 21_001);
  });

  it("takes the same object twice, which is not a cycle", () => {
    expect(keyOf("x", [twice, twice] as never, twice)).toBe("x:[{shared=true},{shared=true}]:{shared=true}");
  });

  it.each<[given: unknown, message: string]>([
    ["", 'keyOf: name must be a non-empty string, got ""'],
    [1, "keyOf: name must be a non-empty string, got a number"],
    [undefined, "keyOf: name must be a non-empty string, got undefined"],
    ["\ud800", "keyOf: name must be well-formed text, got a lone surrogate, which UTF-8 cannot encode"],
  ])("refuses the name %j", (name, message) => {
    const act = () => keyOf(name as string, 1);

    expect(act).toThrow(InvalidArgumentError);
    expect(act).toThrow(expect.objectContaining({ message }));
  });
});

// Mostly text that looks like something else.
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 6 }),
  fc.string({ unit: fc.constantFrom(...'0129-+.en"[]{}(),=:%3A\\'), maxLength: 6 }),
  fc.constantFrom(
    "null",
    "undefined",
    "true",
    "NaN",
    "Infinity",
    "-Infinity",
    "1n",
    "2026-01-31T08:00:00.000Z",
    "__proto__",
    "a b",
  ),
);

const part = fc.letrec<{ part: unknown }>((tie) => ({
  part: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    text,
    fc.constantFrom(null, undefined, true, false),
    fc.double({ noNaN: true }),
    fc.integer(),
    fc.bigInt(),
    fc.date({ noInvalidDate: true }),
    fc.array(tie("part"), { maxLength: 4 }),
    fc.dictionary(text, tie("part"), { maxKeys: 4 }),
  ),
})).part;

/** Texts that keyOf promises never to change: without undefined properties, -0 as 0, objects with a plain prototype. */
function normal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normal);
  if (value instanceof Date || value === null) return value;
  if (typeof value === "object") {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, property]) => property !== undefined)
        .map(([name, property]) => [name, normal(property)]),
    );
  }
  return value === 0 ? 0 : value;
}

function withoutTrailing(parts: readonly unknown[]): readonly unknown[] {
  return parts.slice(0, parts.findLastIndex((value) => value !== undefined) + 1);
}

/** Reads a key by the grammar in the docstring of keyOf, and by nothing else. */
function read(key: string): { name: string; parts: unknown[] } {
  const [name, ...pieces] = key.split(":").map((piece) => piece.replaceAll("%3A", ":").replaceAll("%25", "%"));
  return { name: name!, parts: pieces.map((piece) => readPart(piece)) };
}

function readPart(piece: string): unknown {
  let at = 0;
  const value = /^["[{]/.test(piece) ? readItem() : readLiteral(piece);
  if (at !== 0) expect(at).toBe(piece.length);
  return value === NO_LITERAL ? piece : value;

  function readItem(): unknown {
    const first = piece[at];
    if (first === '"') return readQuoted();
    if (first === "[") {
      const array: unknown[] = [];
      for (at++; piece[at] !== "]";) {
        array.push(readItem());
        if (piece[at] === ",") at++;
      }
      at++;
      return array;
    }
    if (first === "{") {
      const entries: [string, unknown][] = [];
      for (at++; piece[at] !== "}";) {
        const name = piece[at] === '"' ? readQuoted() : readWhile(/[\w$]/);
        expect(piece[at++]).toBe("=");
        entries.push([name, readItem()]);
        if (piece[at] === ",") at++;
      }
      at++;
      return Object.fromEntries(entries);
    }
    const value = readLiteral(readWhile(/[^,\]}]/));
    expect(value).not.toBe(NO_LITERAL);
    return value;
  }

  function readQuoted(): string {
    const quoted = /^"(?:[^"\\]|\\.)*"/s.exec(piece.slice(at))![0];
    at += quoted.length;
    return JSON.parse(quoted) as string;
  }

  function readWhile(pattern: RegExp): string {
    const from = at;
    while (at < piece.length && pattern.test(piece[at]!)) at++;
    return piece.slice(from, at);
  }
}

const NO_LITERAL = Symbol("no literal");

function readLiteral(literal: string): unknown {
  if (literal === "()") return undefined;
  if (literal === "null") return null;
  if (literal === "true" || literal === "false") return literal === "true";
  if (/^(?:0|-?[1-9]\d*)n$/.test(literal)) return BigInt(literal.slice(0, -1));
  if (/^(?:\d{4}|[+-]\d{6})-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(literal)) return new Date(literal);
  if (String(Number(literal)) === literal && literal !== "NaN") return Number(literal);
  return NO_LITERAL;
}
