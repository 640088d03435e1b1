import { describe, expect, it } from "vitest";
import { memberOf, withMember } from "./cache-status.ts";
import type { FieldLines } from "./fields.ts";
import { invalidatedUrls, isSafe } from "./invalidation.ts";
import { rangeOf } from "./ranges.ts";
import { parseList } from "./structured.ts";
import { invalidatedGroups } from "./tags.ts";
import { freshen, headConfirms, isAboutStored } from "./updating.ts";
import { conditionsOf, holdsIfRange, isUnmodified, matchesWeakly } from "./validators.ts";

const NOW = Date.UTC(2026, 10, 26);
const MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT";
const LATER = "Fri, 02 Jan 2026 00:00:00 GMT";

describe("conditions", () => {
  it.each([
    ['"a"', '"a"', true],
    ['W/"a"', '"a"', true],
    ['"a"', 'W/"a"', true],
    ['w/"a"', '"a"', true],
    ['"b", W/"a"', '"a"', true],
    ['"b","a,c"', '"a,c"', true],
    ["*", '"a"', true],
    ["*", undefined, false],
    ["a", '"a"', true],
    ['"a"', "a", true],
    ['"b"', '"a"', false],
    ['"A"', '"a"', false],
    ["", '"a"', false],
    ['"a', '"b"', false],
  ])("H7 If-None-Match %s matches %s: %s", (list, etag, isMatch) => {
    expect(matchesWeakly(list, etag)).toBe(isMatch);
  });

  it.each<[string, boolean, FieldLines]>([
    ["If-None-Match that holds", true, [["if-none-match", '"a"']]],
    [
      "If-None-Match goes first",
      false,
      [
        ["if-none-match", '"b"'],
        ["if-modified-since", LATER],
      ],
    ],
    [
      "two lines",
      true,
      [
        ["if-none-match", '"b"'],
        ["if-none-match", '"a"'],
      ],
    ],
    ["If-Modified-Since, later", true, [["if-modified-since", LATER]]],
    ["If-Modified-Since, equal", true, [["if-modified-since", MODIFIED]]],
    ["If-Modified-Since, earlier", false, [["if-modified-since", "Wed, 31 Dec 2025 00:00:00 GMT"]]],
    ["If-Modified-Since that is not a date", false, [["if-modified-since", "today"]]],
    ["none", false, []],
  ])("H40 %s: %s", (_, expected, request) => {
    expect(
      isUnmodified(
        request,
        [
          ["etag", '"a"'],
          ["last-modified", MODIFIED],
        ],
        NOW,
      ),
    ).toBe(expected);
  });

  it("H52 asks with both validators", () => {
    expect(
      conditionsOf([
        ["etag", 'W/"a"'],
        ["last-modified", MODIFIED],
      ]),
    ).toEqual([
      ["if-none-match", 'W/"a"'],
      ["if-modified-since", MODIFIED],
    ]);
    expect(conditionsOf([["date", LATER]])).toEqual([]);
  });

  it.each<[string, boolean, string | undefined, FieldLines]>([
    ["absent", true, undefined, []],
    ["an equal strong tag", true, '"a"', [["etag", '"a"']]],
    ["a weak tag", false, 'W/"a"', [["etag", 'W/"a"']]],
    ["a weak stored tag", false, '"a"', [["etag", 'W/"a"']]],
    ["another tag", false, '"b"', [["etag", '"a"']]],
    [
      "the strong date",
      true,
      MODIFIED,
      [
        ["last-modified", MODIFIED],
        ["date", LATER],
      ],
    ],
    [
      "a date as old as the response",
      false,
      MODIFIED,
      [
        ["last-modified", MODIFIED],
        ["date", MODIFIED],
      ],
    ],
    [
      "another date",
      false,
      LATER,
      [
        ["last-modified", MODIFIED],
        ["date", LATER],
      ],
    ],
    [
      "no date",
      false,
      "today",
      [
        ["last-modified", "today"],
        ["date", LATER],
      ],
    ],
  ])("H7 H42 If-Range: %s: %s", (_, expected, ifRange, stored) => {
    expect(holdsIfRange(ifRange, stored, NOW)).toBe(expected);
  });
});

describe("ranges", () => {
  it.each<[string | undefined, unknown]>([
    ["bytes=0-0", { from: 0, to: 1 }],
    ["bytes=2-5", { from: 2, to: 6 }],
    ["bytes=2-", { from: 2, to: 10 }],
    ["bytes=-3", { from: 7, to: 10 }],
    ["bytes=-30", { from: 0, to: 10 }],
    ["bytes=5-99", { from: 5, to: 10 }],
    [" Bytes=5-6 ", { from: 5, to: 7 }],
    ["bytes=10-", "unsatisfiable"],
    ["bytes=-0", "unsatisfiable"],
    ["bytes=5-2", undefined],
    ["bytes=-", undefined],
    ["bytes=0-1,3-4", undefined],
    ["lines=0-1", undefined],
    ["bytes=a-b", undefined],
    ["bytes=0-1.5", undefined],
    ["bytes", undefined],
    [undefined, undefined],
  ])("H42 %j of ten bytes: %j", (field, range) => {
    expect(rangeOf(field, 10)).toEqual(range);
  });

  it("H42 of an empty body is unsatisfiable", () => {
    expect(rangeOf("bytes=0-", 0)).toBe("unsatisfiable");
    expect(rangeOf("bytes=-5", 0)).toBe("unsatisfiable");
  });
});

describe("updates", () => {
  const stored: FieldLines = [
    ["etag", '"a"'],
    ["content-length", "5"],
    ["content-type", "text/plain"],
    ["date", MODIFIED],
    ["x-a", "1"],
    ["x-a", "2"],
    ["x-b", "1"],
  ];

  it("H54 takes the fields of a 304, and keeps what describes the bytes", () => {
    const update: FieldLines = [
      ["etag", '"b"'],
      ["content-length", "0"],
      ["content-encoding", "gzip"],
      ["content-type", "text/html"],
      ["content-range", "bytes 0-1/2"],
      ["date", LATER],
      ["connection", "x-hop"],
      ["x-hop", "1"],
      ["x-a", "3"],
      ["x-c", "4"],
    ];
    expect(freshen(stored, update)).toEqual([
      ["etag", '"a"'],
      ["content-length", "5"],
      ["content-type", "text/plain"],
      ["x-b", "1"],
      ["date", LATER],
      ["x-a", "3"],
      ["x-c", "4"],
    ]);
  });

  it("H54 drops the Date of the stored response where the 304 has none", () => {
    expect(freshen(stored, []).map(([name]) => name)).toEqual([
      "etag",
      "content-length",
      "content-type",
      "x-a",
      "x-a",
      "x-b",
    ]);
  });

  it.each<[string, boolean, FieldLines]>([
    ["the same tag", true, [["etag", '"a"']]],
    ["no tag", true, []],
    ["a weak tag", true, [["etag", 'W/"b"']]],
    ["another strong tag", false, [["etag", '"b"']]],
  ])("H55 a 304 with %s is about the stored response: %s", (_, expected, fields) => {
    expect(isAboutStored(stored, fields)).toBe(expected);
  });

  it.each<[string, boolean, number, FieldLines]>([
    ["says nothing else", true, 200, []],
    [
      "has equal validators and length",
      true,
      200,
      [
        ["etag", '"a"'],
        ["content-length", "5"],
      ],
    ],
    ["has another tag", false, 200, [["etag", '"b"']]],
    ["has another date", false, 200, [["last-modified", LATER]]],
    ["has another length", false, 200, [["content-length", "6"]]],
    ["has another status", false, 404, []],
  ])("H58 an answer to HEAD that %s confirms the stored response: %s", (_, expected, status, fields) => {
    expect(headConfirms({ status: 200, fields: stored, bodyBytes: 5 }, { status, fields })).toBe(expected);
  });
});

describe("invalidation", () => {
  const urls = (method: string, status: number, fields: FieldLines = []): readonly string[] =>
    invalidatedUrls(method, "https://a.example/b?c", { status, fields });

  it.each([
    ["POST", 200, true],
    ["PUT", 204, true],
    ["DELETE", 303, true],
    ["M-UNKNOWN", 200, true],
    ["POST", 400, false],
    ["POST", 503, false],
    ["GET", 200, false],
    ["HEAD", 200, false],
    ["OPTIONS", 200, false],
    ["QUERY", 200, false],
  ])("H72 %s answered by %d invalidates its URL: %s", (method, status, invalidates) => {
    expect(urls(method, status)).toEqual(invalidates ? ["https://a.example/b?c"] : []);
  });

  it("H72 invalidates Location and Content-Location of the same origin", () => {
    const fields = (location: string, contentLocation: string): FieldLines => [
      ["location", location],
      ["content-location", contentLocation],
    ];
    expect(urls("POST", 201, fields("/d#x", "e"))).toEqual([
      "https://a.example/b?c",
      "https://a.example/d",
      "https://a.example/e",
    ]);
    expect(urls("POST", 201, fields("https://b.example/d", "http://a.example/e"))).toEqual(["https://a.example/b?c"]);
    expect(urls("POST", 201, fields("http://[", "//"))).toEqual(["https://a.example/b?c"]);
  });

  it("H93 gives the groups that an answer invalidates", () => {
    expect(invalidatedGroups([["cache-group-invalidation", '"a", "b"']], "https://a.example")).toEqual([
      "group, https://a.example a",
      "group, https://a.example b",
    ]);
    expect(invalidatedGroups([["cache-group-invalidation", '"a", b']], "https://a.example")).toEqual([]);
    expect(isSafe("POST")).toBe(false);
  });
});

describe("Cache-Status", () => {
  it.each([
    ["hotset; hit; ttl=3", { hit: true, freshForMs: 3_999 }],
    ["hotset; hit; ttl=-4; detail=revalidating", { hit: true, freshForMs: -3_001, detail: "revalidating" }],
    ["hotset; fwd=uri-miss; fwd-status=200; stored", { forward: "uri-miss", forwardStatus: 200, stored: true }],
    [
      "hotset; fwd=stale; fwd-status=304; ttl=60; stored; collapsed",
      { forward: "stale", forwardStatus: 304, freshForMs: 60_000, stored: true, collapsed: true },
    ],
    [
      String.raw`hotset; fwd=bypass; key="a \"b\" \\ ?"; detail="set cookie"`,
      { forward: "bypass", key: 'a "b" \\ é', detail: "set cookie" },
    ],
    ["hotset; hit; ttl=999999999999999", { hit: true, freshForMs: Infinity }],
  ] as const)("H77 %s", (member, status) => {
    expect(memberOf("hotset", status)).toBe(member);
    expect(parseList(member)).toHaveLength(1);
  });

  it("H77 quotes a name that is not a token", () => {
    expect(memberOf("my cache", { hit: true })).toBe('"my cache"; hit');
  });

  it("H77 keeps the members of caches nearer to the origin before ours", () => {
    const fields: FieldLines = [
      ["cache-status", "a; hit"],
      ["x", "y"],
      ["cache-status", "b"],
    ];
    expect(withMember(fields, "hotset; hit")).toEqual([
      ["x", "y"],
      ["cache-status", "a; hit, b, hotset; hit"],
    ]);
    expect(withMember([["x", "y"]], "hotset; hit")).toEqual([
      ["x", "y"],
      ["cache-status", "hotset; hit"],
    ]);
  });
});
