import { expect, it } from "vitest";
import { OPTIONS } from "../entry/options.ts";
import { didYouMean, didYouMeanInCache } from "./did-you-mean.ts";

const call = Object.keys(OPTIONS.getOrSet);
const tier = ["label", "maxEntries", "maxBytes", "maxEntryBytes", "sizeOf", "values"];

it.each<[given: string, accepted: Iterable<string>, hint: string]>([
  ["tll", call, "; did you mean ttl?"],
  ["TTL", call, "; did you mean ttl?"],
  ["staleIfEror", call, "; did you mean staleIfError?"],
  ["stale_while_revalidate", call, "; did you mean staleWhileRevalidate?"],
  ["hradTimeout", call, "; did you mean hardTimeout?"],
  ["grace", call, "; did you mean staleIfError?"],
  ["swr", call, "; did you mean staleWhileRevalidate?"],
  ["gcTime", call, "; did you mean staleIfError?"],
  ["staleTime", call, "; did you mean ttl?"],
  ["timeout", call, "; did you mean hardTimeout?"],
  ["max", tier, "; did you mean maxEntries?"],
  ["maxSize", tier, "; did you mean maxBytes?"],
  ["host", ["name", "version"], "; that is set by redis(url)"],
  ["max", ["name", "version"], "; that is set by memory(...)"],
  ["ttl", ["name", "version"], "; that is set by .defaults(...), or by the call"],
  ["grace", ["name", "version"], "; that is set by .defaults(...), or by the call"],
  ["tiers", ["name", "version"], "; that is set by .tier(...)"],
  ["redis", ["name", "version"], "; that is set by .tier(...)"],
  ["socket", ["host", "port"], "; did you mean host?"],
  ["db", ["host", "database"], "; did you mean database?"],
  ["user", ["host", "username"], "; did you mean username?"],
  ["pass", ["host", "password"], "; did you mean password?"],
  ["host", ["url", "env-file"], "; did you mean url?"],
  ["colour", call, ""],
  ["x".repeat(10_000), call, ""],
  ["constructor", call, ""],
])("%s: %s", (given, accepted, hint) => {
  expect(didYouMeanInCache(given, accepted)).toBe(hint);
  expect(didYouMean(given, accepted)).toBe(hint.startsWith("; that is set by") ? "" : hint);
});

const namespace = Object.keys(OPTIONS.namespace);

// The nearest name would be localTtl, which sends to Redis what was never to leave the process.
it.each<[removed: string, accepted: readonly string[], advice: string]>([
  ["localOnly", namespace, "keep values that must not leave the process in a second cache, over memory() alone"],
  ["checkLoads", namespace, 'pass schema: { of: schema, checks: "all" }'],
  ["maxTtl", Object.keys(OPTIONS.policy), "nothing limits ttl; the closest place that sets it wins"],
  ["maxTtl", ["name", "version"], "nothing limits ttl; the closest place that sets it wins"],
  ["absentAsNull", Object.keys(OPTIONS.getOrSetMany), "the loader gives null for each item that it does not find"],
])("%s was removed: its error says what to do in its place", (removed, accepted, advice) => {
  expect(didYouMeanInCache(removed, accepted)).toBe(`; it was removed: ${advice}`);
});
