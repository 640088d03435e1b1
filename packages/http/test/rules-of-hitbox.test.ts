import { readRules, type HttpRule } from "@hotset/http";
import { describe, expect, it } from "vitest";
import {
  BOOK,
  BOOKS,
  CACHED,
  FORWARDED,
  key,
  KEYS,
  NOT_STORED,
  OTHER,
  STORED,
  type Ask,
  type Case,
} from "./hitbox-cases.ts";
import { Site } from "./site.ts";

/** Answers as the server of those scenarios: JSON, 404 for an unknown author, and more fields if asked. */
function shop(rule: HttpRule): Site {
  const site = new Site(
    { base: "https://shop.example", rules: readRules([{ override: { ttl: "10s" }, ...rule }]) },
    {},
  );
  site.page = ({ url }) => ({
    status: url.includes("nonexistent") ? 404 : 200,
    body: "{}",
    fields: {
      "content-type": "application/json",
      ...(url.includes("more") && MORE),
      ...(url.includes("cookie") && COOKIE),
    },
  });
  return site;
}
const COOKIE = { "set-cookie": "session=abc123" };
const MORE = { server: "hitbox-test", "x-empty": "", "x-custom": "value" };

/** Whether the second of two requests is answered from the cache. */
async function isStored(rule: HttpRule, first: Ask, second: Ask = first): Promise<boolean> {
  const site = shop(rule);
  for (const ask of [first, second]) {
    const [path, fields] = typeof ask === "string" ? [ask, {}] : ask;
    await (await site.get({ path, fields })).text();
  }
  return site.loads === 1;
}

const whole = <Rule>(cases: readonly Case<Rule>[]): readonly (readonly [string, Rule, Ask, Ask])[] =>
  cases.map(([of, rule, first, second = first]) => [of, rule, first, second]);

describe("H92 rules do what the predicates and extractors of hitbox do", () => {
  it.each(whole(CACHED))("a request is cached, %s", async (_, match, first, second) => {
    expect(await isStored({ match }, first, second)).toBe(true);
  });

  it.each(whole(FORWARDED))("a request is forwarded, %s", async (_, match, first, second) => {
    expect(await isStored({ match }, first, second)).toBe(false);
  });

  it.each(whole(STORED))("a response is stored, %s", async (_, store, first, second) => {
    expect(await isStored({ store }, first, second)).toBe(true);
  });

  it.each(whole(NOT_STORED))("a response is not stored, %s", async (_, store, first, second) => {
    expect(await isStored({ store }, first, second)).toBe(false);
  });

  it.each(KEYS)("a key has its parts, %s", async (_, parts, first, second, isSame) => {
    expect(await isStored({ key: parts }, first, second)).toBe(isSame);
  });
});

describe("H92 where hitbox does something else", () => {
  it("several lines of a field are one text here, and any of them there", async () => {
    const site = shop({ match: { header: { "x-custom": "value2" } } });
    const lines = { "x-custom": "value1, value2" };
    for (const _ of [1, 2]) await site.get({ path: BOOK, fields: lines });
    expect(site.loads).toBe(2);
    expect(await isStored({ match: { header: { "x-custom": { contains: "value2" } } } }, [BOOK, lines])).toBe(true);
  });

  it("a response with Set-Cookie is not stored here, if its rule says so too", async () => {
    expect(await isStored({ store: { header: { "set-cookie": true } } }, `${BOOK}?more&cookie`)).toBe(false);
    expect(await isStored({ store: { header: { server: true } } }, `${BOOK}?more`)).toBe(true);
  });

  it("a POST is forwarded here", async () => {
    const site = shop({ match: { method: ["POST"] } });
    for (const _ of [1, 2]) await site.get({ method: "POST", path: BOOK });
    expect(site.loads).toBe(2);
  });

  it("a request with Authorization is for the response to allow here", async () => {
    expect(await isStored({ match: { header: { authorization: true } } }, [BOOK, { authorization: "Bearer a" }])).toBe(
      false,
    );
  });

  it("the path is always in the key here", async () => {
    expect(await isStored({ key: { query: "none", header: ["x-api-key"] } }, [BOOK, key()], [OTHER, key()])).toBe(
      false,
    );
    expect(await isStored({ key: { query: "none" } }, `${BOOKS}?page=1`, `${BOOKS}?page=2`)).toBe(true);
  });
});
