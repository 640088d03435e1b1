import { createCache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { createTestCache } from "@hotset/testing";
import { expect, it } from "vitest";
import { placeOf } from "./place.ts";
import { Records } from "./records.ts";

it("C645 finds where the entries of a cache and of its namespaces are", () => {
  const cache = createTestCache({ backend: true });
  expect(placeOf(cache)?.backend).toBeDefined();
  expect(placeOf(cache.namespace("shelves"))).toMatchObject({
    keySpace: { path: ["shelves"] },
    backend: placeOf(cache)!.backend,
  });
});

it("C645 knows of no backend where there is none, and nothing of objects that are not caches", () => {
  const alone = createCache({ name: "alone" }).tier(memory()).build();
  expect(placeOf(alone)).toMatchObject({ name: "alone", backend: undefined });
  expect(Records.of(placeOf(alone))).toBeUndefined();
  expect(placeOf({} as never)).toBeUndefined();
  expect(placeOf(new Proxy(alone, {}))).toBeUndefined();
});
