import { describe, expect, it } from "vitest";
import { parseDate } from "./dates.ts";
import { fieldsNamedBy, governingDirectives, parseDirectives, secondsOf } from "./directives.ts";
import type { FieldLines } from "./fields.ts";
import { endToEnd, exceedsLimits, hidesDecidingField, isValidField, joinedOf } from "./fields.ts";
import { parseAge } from "./freshness.ts";
import { parseDictionary, parseStrings } from "./structured.ts";

describe("Cache-Control", () => {
  it.each<[string, Record<string, string | true>]>([
    ["max-age=60", { "max-age": "60" }],
    ["MAX-AGE=60, No-Store", { "max-age": "60", "no-store": true }],
    ['max-age="60"', { "max-age": "60" }],
    ['ext="max-age=3600, no-store", max-age=1', { ext: "max-age=3600, no-store", "max-age": "1" }],
    [String.raw`ext="a\"b", public`, { ext: 'a"b', public: true }],
    [",, max-age=1 ,, , private", { "max-age": "1", private: true }],
    ["@@, /x, public", { public: true }],
    ["max-age =60, public", { "max-age": true, public: true }],
    ["__proto__=1, constructor=3, toString=2", { ["__proto__"]: "1", constructor: "3", tostring: "2" }],
    // A quote that nothing closes hides no directive.
    ['max-age="60, no-store', { "max-age": '"60', "no-store": true }],
    ['max-age="60"0, no-store', { "max-age": '"60"0', "no-store": true }],
    ["", {}],
  ])("H1 reads %j", (text, directives) => {
    expect([...parseDirectives(text)]).toEqual(
      Object.getOwnPropertyNames(directives).map((name) => [name, directives[name]]),
    );
  });

  it("H1 joins the lines of the field", () => {
    const { directives } = governingDirectives(
      [
        ["cache-control", "max-age=1800"],
        ["x", "y"],
        ["cache-control", "no-cache"],
      ],
      [],
    );
    expect([...directives]).toEqual([
      ["max-age", "1800"],
      ["no-cache", true],
    ]);
  });

  it.each([
    ["max-age=1800, max-age=1", 1_800],
    ["max-age=1, max-age=1800", 1],
    ["max-age=003600", 3_600],
    ["max-age=3600.0", 0],
    ["max-age=3600.5", 0],
    ["max-age=a3600", 0],
    ["max-age=3600a", 0],
    ["max-age='3600'", 0],
    ["max-age= 3600", 0],
    ["max-age =3600", 0],
    ["max-age=-1", 0],
    ["max-age=", 0],
    ["max-age", 0],
    ["public", undefined],
  ])("H2 takes the first occurrence, and only a number of seconds: %j", (text, seconds) => {
    expect(secondsOf(parseDirectives(text), "max-age")).toBe(seconds);
  });

  it.each(["2147483648", "2147483649", "99999999999", "9".repeat(400)])("H3 counts %s as 2^31", (digits) => {
    expect(secondsOf(parseDirectives(`max-age=${digits}`), "max-age")).toBe(2 ** 31);
  });

  it("H11 H12 names the fields of qualified directives", () => {
    const directives = parseDirectives('no-cache="Set-Cookie, X-A", private="x-b,, X-C "');
    expect(fieldsNamedBy(directives)).toEqual(["set-cookie", "x-a", "x-b", "x-c"]);
  });
});

describe("dates", () => {
  const NOW = Date.UTC(2026, 10, 26);
  const SUNDAY = Date.UTC(1994, 10, 6, 8, 49, 37);

  it.each([
    ["Sun, 06 Nov 1994 08:49:37 GMT", SUNDAY],
    ["sun, 06 nov 1994 08:49:37 gmt", SUNDAY],
    ["Sunday, 06-Nov-94 08:49:37 GMT", SUNDAY],
    ["SUNDAY, 06-NOV-94 08:49:37 GMT", SUNDAY],
    ["Sun Nov  6 08:49:37 1994", SUNDAY],
    ["Sun Nov 06 08:49:37 1994", SUNDAY],
    ["Friday, 06-Nov-76 08:49:37 GMT", Date.UTC(2076, 10, 6, 8, 49, 37)],
    ["Saturday, 06-Nov-77 08:49:37 GMT", Date.UTC(1977, 10, 6, 8, 49, 37)],
    ["Fri, 31 Dec 9999 23:59:60 GMT", Date.UTC(10_000, 0, 1)],
    ["Sat, 01 Jan 0050 00:00:00 GMT", new Date("0050-01-01T00:00:00Z").getTime()],
  ])("H4 reads %j", (text, at) => {
    expect(parseDate(text, NOW)).toBe(at);
  });

  it.each([
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 EST",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 8:49:37 GMT",
    "Sun, 06-Nov-1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 Foo 1994 08:49:37 GMT",
    "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 94 08:49:37 GMT",
    " Sun, 06 Nov 1994 08:49:37 GMT",
    "1994-11-06T08:49:37Z",
    "0",
    "-1",
    "",
    undefined,
  ])("H4 takes %j for no date", (text) => {
    expect(parseDate(text, NOW)).toBeUndefined();
  });
});

describe("Age", () => {
  it.each([
    ["7200", 7_200],
    ["7200;foo=bar", 7_200],
    ["7200, 0", 7_200],
    ["0, 7200", 0],
    [" 60 ", 60],
    ["7200.0", 0],
    ["-7200", 0],
    ["abc", 0],
    ["", 0],
    [undefined, 0],
    ["99999999999", 2 ** 31],
  ])("H5 reads %j as %d", (text, seconds) => {
    expect(parseAge(text)).toBe(seconds);
  });
});

describe("targeted fields", () => {
  const response = (field: string, value: string): FieldLines => [
    ["cache-control", "max-age=1"],
    [field, value],
  ];

  it.each<[string, [string, string | true][]]>([
    ["max-age=3600", [["max-age", "3600"]]],
    ["MaX-aGe=3600", [["max-age", "3600"]]],
    [
      "foobar, max-age=60;x=1",
      [
        ["foobar", true],
        ["max-age", "60"],
      ],
    ],
    ["max-age=1, max-age=2", [["max-age", "2"]]],
    [
      "no-store, private",
      [
        ["no-store", true],
        ["private", true],
      ],
    ],
    ["no-store=?0, max-age=5", [["max-age", "5"]]],
    ['private="x-a"', [["private", "x-a"]]],
    [
      'private="", no-cache="1"',
      [
        ["private", true],
        ["no-cache", true],
      ],
    ],
    // A wrong type: absent.
    ['max-age="10000"', []],
    ["max-age=1.5", []],
    ["max-age", []],
    ["no-store=5", []],
    ["foo", [["foo", true]]],
  ])("H6 is governed by CDN-Cache-Control: %s", (value, directives) => {
    const governing = governingDirectives(response("cdn-cache-control", value), ["cdn-cache-control"]);
    expect(governing.isTargeted).toBe(true);
    expect([...governing.directives]).toEqual(directives);
  });

  it.each([
    "max-age=10000, &&&&&",
    "max-age =100",
    "max-age= 100",
    "max-age=1,",
    "",
    "  ",
    "max-age=9999999999999999",
    "a=(1",
  ])("H6 takes %j for absent", (value) => {
    const governing = governingDirectives(response("cdn-cache-control", value), ["cdn-cache-control"]);
    expect(governing.isTargeted).toBe(false);
    expect([...governing.directives]).toEqual([["max-age", "1"]]);
  });

  it("H6 takes the first of its own names that counts", () => {
    const fields: FieldLines = [...response("cdn-cache-control", "max-age=2"), ["shop-cache-control", "max-age=3"]];
    const secondsUnder = (...names: string[]): unknown =>
      secondsOf(governingDirectives(fields, names).directives, "max-age");
    expect(secondsUnder("shop-cache-control", "cdn-cache-control")).toBe(3);
    expect(secondsUnder("other-cache-control", "cdn-cache-control")).toBe(2);
    expect(secondsUnder()).toBe(1);
  });
});

describe("structured fields", () => {
  it("reads every type", () => {
    const text = 'a=1, b=-2.5;p, c="x\\"y", d=tok/en:*, e=:YWI=:, f=?0, g=@1659578233, h=%"f%c3%bc", i=("a" b);q=1, j';
    expect(parseDictionary(text)).toEqual(
      new Map<string, unknown>([
        ["a", { type: "integer", value: 1 }],
        ["b", { type: "decimal", value: -2.5 }],
        ["c", { type: "string", value: 'x"y' }],
        ["d", { type: "token", value: "tok/en:*" }],
        ["e", { type: "bytes", value: ":YWI=:" }],
        ["f", { type: "boolean", value: false }],
        ["g", { type: "date", value: 1_659_578_233 }],
        ["h", { type: "display", value: '%"f%c3%bc"' }],
        [
          "i",
          {
            type: "inner-list",
            value: [
              { type: "string", value: "a" },
              { type: "token", value: "b" },
            ],
          },
        ],
        ["j", { type: "boolean", value: true }],
      ]),
    );
  });

  it.each(['a="x', "a=1.", "a=1.2345", "a=?2", "a=:x", 'a=("x" "y"', 'a=("x""y")', "a b", "a;", "a=;b", "A=é"])(
    "does not parse %j",
    (text) => {
      expect(parseDictionary(text)).toBeUndefined();
    },
  );

  it("H93 gives strings alone", () => {
    expect(parseStrings('"a", "b c";x=1')).toEqual(["a", "b c"]);
    expect(parseStrings('"a", b')).toBeUndefined();
    expect(parseStrings('"a')).toBeUndefined();
    expect(parseStrings("")).toEqual([]);
    expect(parseStrings(undefined)).toBeUndefined();
  });
});

describe("fields", () => {
  const fields: FieldLines = [
    ["connection", "X-Private, close"],
    ["keep-alive", "timeout=5"],
    ["x-private", "1"],
    ["set-cookie", "a=1"],
    ["transfer-encoding", "chunked"],
    [":status", "200"],
    ["set-cookie", "b=2"],
    ["x-bytes", "\xe9\xff"],
  ];

  it("H15 H16 H51 forwards no field of the connection, and keeps the others in order, with duplicates", () => {
    expect(endToEnd(fields)).toEqual([
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
      ["x-bytes", "\xe9\xff"],
    ]);
  });

  it.each(["cache-control", "Content-Length", "vary", "set-cookie", "authorization", "etag", "date", "age"])(
    "H15 notices that Connection hides %s",
    (name) => {
      expect(hidesDecidingField([["connection", `close, ${name}`]])).toBe(true);
      expect(hidesDecidingField([["connection", `close, x-${name}`]])).toBe(false);
    },
  );

  it("joins the lines of a name", () => {
    expect(joinedOf(fields, "set-cookie")).toBe("a=1, b=2");
  });

  it.each([
    ["x-a", "plain text\tand \xff", true],
    ["x-a", "", true],
    ["x-a", "a\r\nset-cookie: b", false],
    ["x-a", "a\nb", false],
    ["x-a", "a\0b", false],
    ["x-a", "\u0100", false],
    ["x a", "b", false],
    ["X-A", "b", false],
    ["", "b", false],
    ["x-a:", "b", false],
  ])("H83 judges the field %j: %j", (name, value, isValid) => {
    expect(isValidField([name, value])).toBe(isValid);
  });

  it("H84 counts fields and bytes", () => {
    const limits = { maxFields: 2, maxFieldBytes: 6 };
    expect(
      exceedsLimits(
        [
          ["a", "12"],
          ["b", "34"],
        ],
        limits,
      ),
    ).toBe(false);
    expect(
      exceedsLimits(
        [
          ["a", "12"],
          ["b", "345"],
        ],
        limits,
      ),
    ).toBe(true);
    expect(
      exceedsLimits(
        [
          ["a", ""],
          ["b", ""],
          ["c", ""],
        ],
        limits,
      ),
    ).toBe(true);
  });
});
