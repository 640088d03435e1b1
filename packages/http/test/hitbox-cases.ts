// Scenarios of hitbox over predicates and extractors, at commit 1d77f464, in the words of the rules here: all but the
// ones over bodies, and the ones with another outcome here, which are in the test.
// https://github.com/hit-box/hitbox/tree/1d77f464df1e3ad5ae475d4e166fad8cf0ae046d/hitbox-test/tests/features

import type { HttpRule, RequestMatch, ResponseMatch } from "@hotset/http";

export type Ask = string | readonly [path: string, fields: Readonly<Record<string, string>>];
export type Case<Rule> = readonly [of: string, rule: Rule, first: Ask, second?: Ask];

export const BOOKS = "/v1/authors/robert-sheckley/books";
export const BOOK = `${BOOKS}/victim-prime`;
export const OTHER = `${BOOKS}/immortality-inc`;
const ANY_BOOK = "/v1/authors/{author}/books/{book}";
export const key = (value = "secret123"): Record<string, string> => ({ "x-api-key": value });
const tenant = (value: string): Record<string, string> => ({ "x-tenant-id": value });
const agent = (value: string): Record<string, string> => ({ "user-agent": value });
const accept = (value: string): Record<string, string> => ({ accept: value });
const type = (value: string): Record<string, string> => ({ "content-type": value });
const TYPES = { in: ["application/json", "application/xml"] };

const READ_OR_ADMIN: RequestMatch = {
  any: [
    { method: ["GET"], path: BOOK },
    { method: ["POST"], header: { "x-admin": "true" } },
  ],
};

export const CACHED: readonly Case<RequestMatch>[] = [
  ["header eq: exact", { header: key() }, [BOOK, key()]],
  ["header eq: the name in any case", { header: { "X-API-Key": "secret123" } }, [BOOK, key()]],
  ["header eq: several", { header: { ...key(), ...tenant("a") } }, [BOOK, { ...key(), ...tenant("a") }]],
  ["header eq: an empty value", { header: { "x-empty": "" } }, [BOOK, { "x-empty": "" }]],
  ["header eq: white space, which the server takes off", { header: { "x-token": "t" } }, [BOOK, { "x-token": "t" }]],
  [
    "header in: each of the list",
    { header: { "content-type": TYPES } },
    [BOOK, type("application/json")],
    [BOOK, type("application/xml")],
  ],
  ["header in: a list of one", { header: { accept: { in: ["text/html"] } } }, [BOOK, accept("text/html")]],
  [
    "header contains: a part",
    { header: { "User-Agent": { contains: "Mozilla" } } },
    [BOOK, agent("Mozilla/5.0 (Windows)")],
    [BOOK, agent("Mozilla/5.0 (Mac)")],
  ],
  [
    "header contains: several",
    { header: { "user-agent": { contains: "Mozilla" }, accept: { contains: "json" } } },
    [BOOK, { ...agent("Mozilla/5.0"), ...accept("application/json") }],
    [BOOK, { ...agent("Mozilla/5.0"), ...accept("application/json; charset=utf-8") }],
  ],
  ["header exists: more fields", { header: { "x-trace-id": true } }, [BOOK, { "x-trace-id": "a", ...key() }]],
  [
    "header exists: any value",
    { header: { "X-Trace-Id": true } },
    [BOOK, { "x-trace-id": "a" }],
    [BOOK, { "x-trace-id": "b" }],
  ],
  [
    "header regex: alternatives",
    { header: { accept: { regex: "application/(json|xml)" } } },
    [BOOK, accept("application/json")],
    [BOOK, accept("application/xml")],
  ],
  [
    "header regex: from the beginning",
    { header: { "user-agent": { regex: "^Mozilla/.*" } } },
    [BOOK, agent("Mozilla/5.0 (Windows)")],
    [BOOK, agent("Mozilla/5.0 (Mac)")],
  ],
  [
    "header regex: several",
    { header: { accept: { regex: "application/.*" }, "user-agent": { regex: "Mozilla/.*" } } },
    [BOOK, { ...accept("application/json"), ...agent("Mozilla/5.0") }],
    [BOOK, { ...accept("application/xml"), ...agent("Mozilla/4.0") }],
  ],
  ["method eq", { method: ["GET"] }, BOOK],
  ["method in", { method: ["GET", "HEAD"] }, BOOK],
  ["path eq", { path: BOOK }, BOOK],
  ["path with parameters", { path: ANY_BOOK }, BOOK],
  ["path with encoded characters", { path: ANY_BOOK }, "/v1/authors/robert%20sheckley/books/victim-prime"],
  ["query eq", { query: { cache: "true" } }, `${BOOK}?cache=true`],
  ["query: several", { query: { page: "1", per_page: "10" } }, `${BOOKS}?page=1&per_page=10`],
  ["query: an empty value", { query: { empty: "" } }, `${BOOKS}?empty=`],
  ["query in", { query: { page: { in: ["1", "2"] } } }, `${BOOKS}?page=2`],
  ["query exists", { query: { page: true } }, `${BOOKS}?page=2`],
  ["and: of two", { method: ["GET"], path: BOOK }, BOOK],
  ["and: of three", { method: ["GET"], header: key(), path: BOOK }, [BOOK, key()]],
  [
    "and: method, header, query",
    { method: ["GET"], header: tenant("a"), query: { page: "1" } },
    [`${BOOKS}?page=1`, tenant("a")],
  ],
  ["or: the left", { any: [{ method: ["GET"] }, { method: ["POST"] }] }, BOOK],
  ["or: the right", { any: [{ method: ["POST"] }, { method: ["GET"] }] }, BOOK],
  ["or: both", { any: [{ method: ["GET"] }, { path: BOOK }] }, BOOK],
  ["or: the first of three", { any: [{ method: ["GET"] }, { method: ["HEAD"] }, { method: ["OPTIONS"] }] }, BOOK],
  ["or: the second of three", { any: [{ method: ["POST"] }, { method: ["GET"] }, { method: ["DELETE"] }] }, BOOK],
  ["or: the third of three", { any: [{ method: ["POST"] }, { method: ["DELETE"] }, { method: ["GET"] }] }, BOOK],
  ["or: of kinds", { any: [{ method: ["POST"] }, { path: BOOK }, { header: { "x-bypass": "true" } }] }, BOOK],
  ["or: the first of four", { any: ["GET", "POST", "PUT", "DELETE"].map((each) => ({ method: [each] })) }, BOOK],
  ["not", { not: { method: ["POST"] } }, BOOK],
  ["or in and: methods and a path", { any: [{ method: ["GET"] }, { method: ["HEAD"] }], path: BOOK }, BOOK],
  ["or in and: a method and paths", { method: ["GET"], any: [{ path: BOOK }, { path: BOOKS }] }, BOOK],
  [
    "or in and: headers",
    { method: ["GET"], any: [{ header: tenant("a") }, { header: tenant("b") }] },
    [BOOK, tenant("a")],
  ],
  [
    "or in and: a method, headers and a path",
    { method: ["GET"], any: [{ header: type("application/json") }, { header: type("text/html") }], path: BOOK },
    [BOOK, type("application/json")],
  ],
  ["or in not", { not: { any: [{ method: ["POST"] }, { method: ["DELETE"] }] } }, BOOK],
  ["or in not, in and", { method: ["GET"], not: { any: [{ path: OTHER }, { query: { page: "999" } }] } }, BOOK],
  ["and in not", { not: { method: ["POST"], path: BOOK } }, BOOK],
  [
    "and in not: a header that exists",
    { not: { header: { "x-tenant-id": true }, method: ["DELETE"] } },
    [BOOK, tenant("a")],
  ],
  [
    "and in not: one of its two",
    { method: ["GET"], not: { header: key(), query: { debug: "1" } } },
    `${BOOKS}?debug=1`,
  ],
  [
    "three levels: or, not, header",
    { any: [{ method: ["GET"] }, { method: ["HEAD"] }], not: { query: { nocache: "true" } }, header: key() },
    [BOOK, key()],
  ],
  ["three levels: and in or", READ_OR_ADMIN, BOOK],
  [
    "three levels: methods, not a path, header",
    { any: [{ method: ["GET"] }, { method: ["HEAD"] }], not: { path: OTHER }, header: key() },
    [BOOK, key()],
  ],
];

export const FORWARDED: readonly Case<RequestMatch>[] = [
  ["header eq: another value", { header: key() }, [BOOK, key("wrong")]],
  ["header eq: the value in another case", { header: key("Secret123") }, [BOOK, key()]],
  ["header eq: missing", { header: { "x-required": "a" } }, BOOK],
  ["header in: not of the list", { header: { "content-type": TYPES } }, [BOOK, type("text/html")]],
  ["header in: an empty list", { header: { "x-flag": { in: [] } } }, [BOOK, { "x-flag": "enabled" }]],
  ["header in: the value in another case", { header: { "content-type": TYPES } }, [BOOK, type("Application/JSON")]],
  ["header in: missing", { header: { "accept-language": { in: ["en-US", "fr-FR"] } } }, BOOK],
  ["header contains: not a part", { header: { "user-agent": { contains: "Chrome" } } }, [BOOK, agent("Mozilla/5.0")]],
  ["header contains: in another case", { header: { "x-api-key": { contains: "SECRET" } } }, [BOOK, key()]],
  ["header contains: missing", { header: { "x-custom": { contains: "value" } } }, BOOK],
  ["header exists: missing", { header: { authorization: true } }, BOOK],
  ["header regex: no match", { header: { accept: { regex: "text/.*" } } }, [BOOK, accept("application/json")]],
  ["header regex: missing", { header: { "x-custom": { regex: ".*" } } }, BOOK],
  [
    "header regex: in another case",
    { header: { accept: { regex: "application/JSON" } } },
    [BOOK, accept("application/json")],
  ],
  ["method eq: another", { method: ["POST"] }, BOOK],
  ["method in: an empty list", { method: [] }, BOOK],
  ["path eq: a part", { path: BOOK }, BOOKS],
  ["path eq: a slash at the end", { path: `${BOOK}/` }, BOOK],
  ["path eq: in another case", { path: BOOK }, BOOK.replace("robert", "Robert")],
  ["query eq: another value", { query: { page: "1" } }, `${BOOKS}?page=2`],
  ["query in: not of the list", { query: { page: { in: ["1", "2"] } } }, `${BOOKS}?page=3`],
  ["query in: an empty list", { query: { page: { in: [] } } }, `${BOOKS}?page=1`],
  ["query exists: missing", { query: { page: true } }, BOOKS],
  ["and: the second fails", { method: ["GET"], path: "/v1/different-path" }, BOOK],
  ["and: the first fails", { method: ["POST"], path: BOOK }, BOOK],
  ["and: both fail", { method: ["POST"], path: "/v1/different-path" }, BOOK],
  ["and: the first of three fails", { method: ["POST"], header: key(), path: BOOK }, [BOOK, key()]],
  ["and: the second of three fails", { method: ["GET"], header: key(), path: BOOK }, [BOOK, key("wrong")]],
  ["and: the third of three fails", { method: ["GET"], header: key(), path: BOOK }, [OTHER, key()]],
  [
    "and: the query fails",
    { method: ["GET"], header: tenant("a"), query: { page: "1" } },
    [`${BOOKS}?page=2`, tenant("a")],
  ],
  ["or: neither", { any: [{ method: ["POST"] }, { method: ["DELETE"] }] }, BOOK],
  ["or: what stands with it fails", { method: ["POST"], any: [{ path: BOOK }, { header: key() }] }, [BOOK, key()]],
  ["or: none of three", { any: [{ method: ["POST"] }, { method: ["DELETE"] }, { method: ["PUT"] }] }, BOOK],
  ["or: none of kinds", { any: [{ method: ["POST"] }, { path: BOOK }, { header: { "x-bypass": "true" } }] }, OTHER],
  [
    "or: no method, header, query",
    { any: [{ method: ["POST"] }, { header: { "x-admin": "true" } }, { query: { cache: "force" } }] },
    BOOK,
  ],
  ["or: none of four", { any: ["POST", "PUT", "PATCH", "DELETE"].map((each) => ({ method: [each] })) }, BOOK],
  ["or in not: of paths", { not: { any: [{ path: OTHER }, { path: BOOK }] } }, BOOK],
  [
    "and in not: both hold",
    { method: ["GET"], not: { header: key(), query: { debug: "1" } } },
    [`${BOOKS}?debug=1`, key()],
  ],
  [
    "three levels: the or fails, before not",
    { any: [{ method: ["POST"] }, { method: ["PUT"] }], not: { query: { skip: "yes" } }, header: key() },
    [`${OTHER}?skip=yes`, key()],
  ],
  ["or in and: no method", { any: [{ method: ["POST"] }, { method: ["DELETE"] }], path: BOOK }, BOOK],
  ["or in and: neither method nor path", { any: [{ method: ["POST"] }, { method: ["PUT"] }], path: BOOK }, OTHER],
  ["or in and: another method", { method: ["POST"], any: [{ path: BOOK }, { path: BOOKS }] }, BOOK],
  ["or in and: no path", { method: ["GET"], any: [{ path: BOOK }, { path: BOOKS }] }, OTHER],
  [
    "or in not, in and: both hold",
    { method: ["GET"], not: { any: [{ path: BOOK }, { header: key() }] } },
    [BOOK, key()],
  ],
  ["and in not, in and: another method", { method: ["POST"], not: { header: key(), path: BOOK } }, BOOK],
  [
    "three levels: the or fails",
    { any: [{ method: ["POST"] }, { method: ["DELETE"] }], not: { query: { nocache: "true" } }, header: key() },
    [BOOK, key()],
  ],
  [
    "three levels: the header fails",
    { any: [{ method: ["POST"] }, { method: ["PUT"] }], not: { query: { skip: "yes" } }, header: key("special") },
    [BOOK, key("wrong")],
  ],
  ["three levels: both of the or fail", READ_OR_ADMIN, OTHER],
  [
    "three levels: and fails after not",
    { any: [{ method: ["POST"] }, { method: ["DELETE"] }], not: { path: OTHER }, header: key() },
    BOOK,
  ],
];

const MORE_OF_IT = `${BOOK}?more`;
const header = (name: string, test: NonNullable<ResponseMatch["header"]>[string]): ResponseMatch => ({
  header: { [name]: test },
});

export const STORED: readonly Case<ResponseMatch>[] = [
  ["status eq", { status: [200] }, BOOK],
  ["status: of both kinds", { status: [200], any: [{ status: ["2xx"] }] }, BOOK],
  ["status range", { status: [[100, 299]] }, BOOK],
  ["status range: its first", { status: [[200, 299]] }, BOOK],
  ["status range: its last", { status: [[100, 200]] }, BOOK],
  ["status range: of one", { status: [[200, 200]] }, BOOK],
  ["status in", { status: [200, 201, 204] }, BOOK],
  ["status in: of one", { status: [200] }, BOOK],
  ["status in: of four", { status: [200, 201, 202, 204] }, BOOK],
  ["status class", { status: ["2xx"] }, BOOK],
  ["header eq: exact", header("content-type", "application/json"), BOOK],
  ["header eq: the name in any case", header("CONTENT-Type", "application/json"), BOOK],
  ["header eq: several", { header: { "content-type": "application/json", server: "hitbox-test" } }, MORE_OF_IT],
  ["header eq: an empty value", header("x-empty", ""), MORE_OF_IT],
  ["header in", header("content-type", TYPES), BOOK],
  ["header in: a list of one", header("content-type", { in: ["application/json"] }), BOOK],
  ["header contains: a part", header("content-type", { contains: "json" }), BOOK],
  [
    "header contains: several",
    { header: { "content-type": { contains: "json" }, server: { contains: "hitbox" } } },
    MORE_OF_IT,
  ],
  ["header regex: alternatives", header("content-type", { regex: "application/(json|xml)" }), BOOK],
  ["header regex: from the beginning", header("content-type", { regex: "^application/json.*" }), BOOK],
  [
    "header regex: several",
    { header: { "content-type": { regex: "application/.*" }, server: { regex: "hitbox-.*" } } },
    MORE_OF_IT,
  ],
  ["header exists", header("content-type", true), BOOK],
  ["header exists: the name in any case", header("Content-TYPE", true), BOOK],
  ["header exists: more fields", header("content-type", true), MORE_OF_IT],
];

export const NOT_STORED: readonly Case<ResponseMatch>[] = [
  ["status eq: another", { status: [201] }, BOOK],
  ["status: one of both fails", { status: [200], any: [{ status: [201] }] }, BOOK],
  ["status range: outside", { status: [[201, 299]] }, BOOK],
  ["status in: not of the list", { status: [201, 204] }, BOOK],
  ["status in: an empty list", { status: [] }, BOOK],
  ["status class: 404 is not one", { status: ["2xx"] }, "/v1/authors/nonexistent/books/test"],
  ["header eq: another value", header("content-type", "text/html"), BOOK],
  ["header eq: missing", header("x-other", "some-value"), BOOK],
  ["header eq: the value in another case", header("content-type", "application/JSON"), BOOK],
  ["header in: not of the list", header("content-type", { in: ["text/html", "text/plain"] }), BOOK],
  ["header in: an empty list", header("content-type", { in: [] }), BOOK],
  ["header in: missing", header("x-other", { in: ["value1", "value2"] }), BOOK],
  ["header in: the value in another case", header("content-type", { in: ["application/JSON"] }), BOOK],
  ["header contains: not a part", header("content-type", { contains: "xml" }), BOOK],
  ["header contains: in another case", header("content-type", { contains: "JSON" }), BOOK],
  ["header contains: missing", header("x-other", { contains: "value" }), BOOK],
  ["header exists: missing", header("x-other", true), BOOK],
  ["header regex: no match", header("content-type", { regex: "text/.*" }), BOOK],
  ["header regex: missing", header("x-other", { regex: ".*" }), BOOK],
  ["header regex: in another case", header("content-type", { regex: "application/JSON" }), BOOK],
];

/** The second request differs in a part of the key, or only in something else. */
export const KEYS: readonly (readonly [of: string, rule: HttpRule["key"], first: Ask, second: Ask, isSame: boolean])[] =
  [
    ["header", { header: ["X-Api-Key"] }, [BOOK, key("a")], [BOOK, key("b")], false],
    [
      "header: another field",
      { header: ["X-Api-Key"] },
      [BOOK, key("a")],
      [BOOK, { ...key("a"), "x-user": "1" }],
      true,
    ],
    ["header: missing", { header: ["X-Tenant-Id"] }, BOOK, [BOOK, tenant("")], false],
    [
      "header: several",
      { header: ["x-tenant-id", "x-api-key"] },
      [BOOK, { ...tenant("a"), ...key("a") }],
      [BOOK, { ...tenant("a"), ...key("b") }],
      false,
    ],
    ["query", { query: ["page"] }, `${BOOKS}?page=1`, `${BOOKS}?page=2`, false],
    ["query: another parameter", { query: ["page"] }, `${BOOKS}?page=1`, `${BOOKS}?page=1&x=2`, true],
    ["query: missing", { query: ["page"] }, BOOKS, `${BOOKS}?page=2`, false],
    ["query: several", { query: ["page", "sort"] }, `${BOOKS}?page=2&sort=title`, `${BOOKS}?page=2&sort=year`, false],
    ["path", {}, BOOK, OTHER, false],
    ["path and query", { query: ["page", "limit"] }, `${BOOKS}?page=1&limit=10`, `${BOOK}?page=1&limit=10`, false],
    [
      "path, query and header",
      { query: ["includeDeleted"], header: ["x-api-version"] },
      [`${BOOK}?includeDeleted=false&x=1`, { "x-api-version": "v2" }],
      [`${BOOK}?includeDeleted=false&x=2`, { "x-api-version": "v2", ...key() }],
      true,
    ],
  ];
