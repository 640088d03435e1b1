import { describe, expect, it } from "vitest";
import type { FieldLines } from "./fields.ts";
import { parseSearchRule } from "./no-vary-search.ts";
import { refusalOfRequest } from "./request-shape.ts";
import { originOf, targetOf, targetUnder } from "./target.ts";
import { preferredLanguage, selectingFields, selectingText } from "./vary.ts";

const LIMITS = { maxFields: 200, maxFieldBytes: 65_536 };

describe("keys", () => {
  it.each([
    ["https://a.example", "https://a.example/"],
    ["https://a.example#x", "https://a.example/"],
    ["https://a.example?b=1", "https://a.example/?b=1"],
    ["HTTPS://A.Example/Path?Q=A#f", "https://a.example/Path?Q=A"],
    ["https://a.example/%c3%bc?q=%2f", "https://a.example/%C3%BC?q=%2F"],
    ["https://a.example/a?b=2&a=1", "https://a.example/a?b=2&a=1"],
    ["https://a.example/a?", "https://a.example/a?"],
  ])("H29 %s is kept as %s", (url, target) => {
    expect(targetOf(url)).toBe(target);
  });

  it.each(["/a/../b", "/a%2Fb", "/a/b", "/b", "/a;x", "/a%00", "/a//b", "/a/./b", "/a.css", "/a/x.css", "/%61"])(
    "H81 keeps %s apart from every other path",
    (path) => {
      expect(targetOf(`https://a.example${path}`)).toBe(`https://a.example${path}`);
    },
  );

  it("H31 leaves parameters out, and sorts them, where it is said", () => {
    const ignores = (name: string): boolean => name.startsWith("utm_");
    expect(targetOf("https://a.example/a?b=2&utm_source=x&a=1&b=1", { ignores })).toBe(
      "https://a.example/a?b=2&a=1&b=1",
    );
    expect(targetOf("https://a.example/a?b=2&utm_x&a=1&b=1", { ignores, sorts: true })).toBe(
      "https://a.example/a?a=1&b=2&b=1",
    );
    expect(targetOf("https://a.example/a?utm_x=1", { ignores })).toBe("https://a.example/a");
    expect(targetOf("https://a.example/a?u%74m_x=1&%zz=1", { ignores })).toBe("https://a.example/a?%zz=1");
  });

  it.each<[string, string, [string, boolean][]]>([
    [
      'params=("a" "b")',
      "ignores a and b",
      [
        ["a", true],
        ["b", true],
        ["c", false],
      ],
    ],
    [
      'params, except=("a")',
      "ignores all but a",
      [
        ["a", false],
        ["b", true],
      ],
    ],
    ["params", "ignores all", [["a", true]]],
    ["key-order", "ignores none", [["a", false]]],
  ])("H31 No-Vary-Search: %s %s", (field, _, names) => {
    const rule = parseSearchRule(field)!;
    for (const [name, isIgnored] of names) expect(rule.ignores(name)).toBe(isIgnored);
    expect(rule.ignoresOrder).toBe(field === "key-order");
  });

  it.each([
    undefined,
    "",
    "params=?0",
    "params=()",
    'except=("a")',
    'params=("a"',
    "params=(a)",
    'params="a"',
    "x",
    'params=("a"), except=("b")',
  ])("H31 No-Vary-Search: %j means nothing", (field) => {
    expect(parseSearchRule(field)).toBeUndefined();
  });

  it("H31 merges only what one rule covers", () => {
    const [a, b] = [parseSearchRule('params=("a"), key-order')!, parseSearchRule('params=("b"), key-order')!];
    const url = "https://a.example/?c=1&b=1&a=1";
    expect(targetUnder(url, a)).toBe(targetUnder("https://a.example/?b=1&c=1", a));
    expect(targetUnder(url, a)).not.toBe(targetUnder(url, b));
    expect(targetUnder(url, a)).not.toBe(targetOf(url));
    expect(parseSearchRule('key-order, params=("a")')!.text).toBe(a.text);
  });
});

describe("the authority of a server-side key", () => {
  const settings = { origins: new Set(["https://shop.example", "http://shop.example:8080"]), trustProxy: false };
  const origin = (fields: FieldLines, scheme: "http" | "https" = "https", trustProxy = false): unknown =>
    originOf(fields, scheme, { ...settings, trustProxy });

  it.each<[string, "http" | "https", string | undefined]>([
    ["shop.example", "https", "https://shop.example"],
    ["Shop.Example.", "https", "https://shop.example"],
    ["shop.example:443", "https", "https://shop.example"],
    ["shop.example:8080", "http", "http://shop.example:8080"],
    ["shop.example", "http", undefined],
    ["evil.example", "https", undefined],
    ["shop.example:8443", "https", undefined],
    ["shop.example@evil.example", "https", undefined],
    ["shop.example/x", "https", undefined],
    ["", "https", undefined],
  ])("H30 Host: %s over %s: %s", (host, scheme, expected) => {
    expect(origin([["host", host]], scheme)).toBe(expected);
  });

  it("H30 counts what proxies forward only where they are trusted, and only what the last one wrote", () => {
    const fields: FieldLines = [
      ["host", "internal"],
      ["x-forwarded-host", "evil.example, shop.example"],
      ["x-forwarded-proto", "https"],
    ];
    expect(origin(fields, "http")).toBeUndefined();
    expect(origin(fields, "http", true)).toBe("https://shop.example");
    expect(
      origin(
        [
          ["host", "shop.example"],
          ["x-forwarded-host", "evil.example"],
        ],
        "https",
        true,
      ),
    ).toBeUndefined();
  });
});

describe("Vary", () => {
  const text = (names: string, ...fields: FieldLines): string => selectingText(names.split(" "), fields);

  it("H33 names fields once, sorted, of every line", () => {
    expect(
      selectingFields([
        ["vary", "B, a"],
        ["vary", ",A , c"],
      ]),
    ).toEqual(["a", "b", "c"]);
    expect(selectingFields([])).toEqual([]);
    expect(selectingFields([["vary", "*"]])).toBeUndefined();
    for (const broken of ["cookie authorization", 'cookie, "a"', "a;b", "accept, cookie authorization"])
      expect(selectingFields([["vary", broken]])).toBeUndefined();
  });

  it("H33 distinguishes absent from empty, joins lines, and does not mind white space", () => {
    expect(text("foo")).not.toBe(text("foo", ["foo", ""]));
    expect(text("foo", ["foo", "1"], ["foo", "2"])).toBe(text("foo", ["foo", "1,  2"]));
    expect(text("foo", ["foo", " 1 ,2 "])).toBe(text("foo", ["foo", "1, 2"]));
    expect(text("foo", ["foo", "1, 2"])).not.toBe(text("foo", ["foo", "2, 1"]));
    expect(text("foo", ["foo", "A"])).not.toBe(text("foo", ["foo", "a"]));
    expect(text("a b", ["a", "1"], ["b", "2"])).not.toBe(text("a b", ["a", "2"], ["b", "1"]));
  });

  it.each([
    ["accept-encoding", "gzip, br", "BR,gzip", true],
    ["accept-encoding", "gzip;q=1.0, br", "br, gzip", true],
    ["accept-encoding", "gzip, br", "gzip, br;q=0.5, made-up", true],
    ["accept-encoding", "gzip, br;q=0", "gzip", true],
    ["accept-encoding", "x-gzip", "gzip", true],
    ["accept-encoding", "*", "br, deflate, gzip, zstd, made-up", true],
    ["accept-encoding", "gzip, *;q=0", "gzip, identity;q=0", true],
    ["accept-encoding", "gzip, identity;q=0", "gzip", false],
    ["accept-encoding", "gzip, *", "gzip", false],
    ["accept-encoding", "gzip;q=0", "gzip", false],
    ["accept-encoding", "", "made-up", true],
    ["accept-language", "de, en;q=0.5", "en;q=0.50,DE", true],
    ["accept-language", "de, en;q=0.5", "en, de;q=0.5", false],
    ["accept", "text/html;level=1", "text/html", false],
  ])("H34 compares %s by meaning: %j and %j: %s", (name, a, b, isEqual) => {
    expect(text(name, [name, a]) === text(name, [name, b])).toBe(isEqual);
  });

  it("H34 takes normalisers of its own", () => {
    const device = (value: string): string => (value.includes("Mobile") ? "phone" : "desk");
    const of = (value: string): string =>
      selectingText(["user-agent"], [["user-agent", value]], { "user-agent": device });
    expect(of("A Mobile")).toBe(of("B Mobile"));
    expect(of("A")).not.toBe(of("A Mobile"));
  });

  it.each([
    ["de", "de"],
    ["DE-ch, en;q=0.9", "de-ch"],
    ["en;q=0.5, de", "de"],
    ["de, en", undefined],
    ["*", undefined],
    ["", undefined],
    [undefined, undefined],
  ])("H34 of Accept-Language %j it likes %s best", (field, language) => {
    expect(preferredLanguage(field)).toBe(language);
  });
});

describe("requests that are never cached", () => {
  const refusal = (fields: FieldLines, method = "GET", hasBody = false, url = "https://a.example/"): unknown =>
    refusalOfRequest({ method, url, fields, hasBody }, LIMITS);

  it.each<[string, string | undefined, FieldLines]>([
    [
      "a plain request",
      undefined,
      [
        ["host", "a.example"],
        ["content-length", "0"],
      ],
    ],
    [
      "two Host",
      "host",
      [
        ["host", "a"],
        ["host", "b"],
      ],
    ],
    [
      "two Content-Length",
      "ambiguous",
      [
        ["content-length", "0"],
        ["content-length", "5"],
      ],
    ],
    ["a body", "ambiguous", [["content-length", "5"]]],
    [
      "Transfer-Encoding",
      "ambiguous",
      [
        ["content-length", "0"],
        ["transfer-encoding", "chunked"],
      ],
    ],
    ["a method override", "ambiguous", [["x-http-method-override", "DELETE"]]],
    ["a URL override", "ambiguous", [["x-original-url", "/admin"]]],
    ["an upgrade", "ambiguous", [["upgrade", "websocket"]]],
    ["a header bomb", "limits", Array.from({ length: 201 }, (_, i): [string, string] => [`x-${i}`, ""])],
    ["a long header", "limits", [["x-a", "b".repeat(65_536)]]],
  ])("H82 H84 %s: %s", (_, expected, fields) => {
    expect(refusal(fields)).toBe(expected);
  });

  it("H20 H82 H84 refuses other methods, bodies and long URLs", () => {
    expect(refusal([], "HEAD")).toBeUndefined();
    expect(refusal([], "QUERY")).toBe("method");
    expect(refusal([], "GET", true)).toBe("ambiguous");
    expect(refusal([], "GET", false, `https://a.example/${"b".repeat(8_192)}`)).toBe("limits");
  });
});
