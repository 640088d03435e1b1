import { httpCache } from "@hotset/http";
import { observe } from "@hotset/metrics/prometheus";
import { createTestCache, flush } from "@hotset/testing";
import { Registry } from "prom-client";
import { expect, it } from "vitest";

it("H79 the figures of an HTTP cache are metrics, and no label is a URL", async () => {
  const register = new Registry();
  const cache = createTestCache();
  const pages = httpCache(cache.namespace("pages"));
  const { close } = observe({ register, http: { pages } });
  const answers = [{ "cache-control": "max-age=60" }, { "cache-control": "no-store" }];
  for (const [i, fields] of answers.entries())
    for (const _ of [1, 2]) {
      const body = new Uint8Array(10);
      const url = `https://shop.example/${i}`;
      const origin = () => ({ status: 200, statusText: "", fields: Object.entries(fields), body });
      await pages.answer({ method: "GET", url, fields: [], hasBody: false }, origin);
      await flush();
    }
  const text = await register.metrics();
  expect(text.split("\n").filter((line) => /^http_cache.* [1-9]/.test(line))).toEqual([
    'http_cache_requests_total{http_cache="pages",result="hit"} 1',
    'http_cache_requests_total{http_cache="pages",result="miss"} 1',
    'http_cache_requests_total{http_cache="pages",result="pass"} 2',
    'http_cache_passed_total{http_cache="pages",reason="no-store"} 2',
    'http_cache_body_bytes_total{http_cache="pages",source="cache"} 10',
    'http_cache_body_bytes_total{http_cache="pages",source="origin"} 10',
  ]);
  expect(text).not.toContain("shop.example");
  close();
  await cache.close();
});

it("H79 refuses what is not an HTTP cache", () => {
  const register = new Registry();
  expect(() => observe({ register, http: { pages: {} as never } })).toThrow(
    'observe: http must be an object of HTTP caches by their labels, got an object for "pages"',
  );
});
