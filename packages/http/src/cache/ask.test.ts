import type { Served } from "@hotset/core";
import { describe, expect, it } from "vitest";
import type { Freshness } from "../semantics/freshness.ts";
import { NO_DEMANDS, type Demands } from "../semantics/reuse.ts";
import { afterIgnoring, afterRefusing, judge, type Accepts, type Ask, type Verdict } from "./ask.ts";
import type { Found } from "./found.ts";
import { indexEntry, responseEntry, type Stored, type StoredResponse } from "./stored.ts";
import type { Visit } from "./visit.ts";

const FRESHNESS: Freshness = {
  lifetimeMs: 60_000,
  initialAgeMs: 0,
  staleWhileRevalidateMs: 10_000,
  staleIfErrorMs: 0,
  mustRevalidate: false,
  mustValidate: false,
  source: "max-age",
};

const stored = (freshness: Partial<Freshness> = {}): StoredResponse =>
  responseEntry({
    status: 200,
    statusText: "OK",
    fields: [],
    freshness: { ...FRESHNESS, ...freshness },
    target: "/",
    selects: "en",
    bodyBytes: 0,
    body: { bytes: new Uint8Array() },
    receivedBy: "here",
    receivedAt: 0,
  });

const INDEX = indexEntry(["accept-language"], undefined);
const OF_URL = { key: "url", target: "/", demands: NO_DEMANDS, index: undefined, selects: "", ignoresStored: false };
const OF_VARIANT = { ...OF_URL, key: "variant", index: INDEX, selects: "en" };
const asking = (visit: Partial<Visit> = {}, accepts: Accepts = "any"): Ask => ({
  visit: { ...OF_URL, ...visit } as Visit,
  accepts,
});
const demanding = (demands: Partial<Demands>): Ask => asking({ demands: { ...NO_DEMANDS, ...demands } });

const hit = (ageMs: number): Served => ({ status: "hit", ageMs, freshForMs: 60_000 - ageMs, coalesced: false });
const stale = (cause: NonNullable<Served["cause"]>, error?: unknown): Served => ({
  ...hit(65_000),
  status: "stale",
  cause,
  error,
});
const LOADED: Served = { ...hit(0), status: "miss", freshForMs: 60_000 };
const DOWN = new Error("down");

const toText = (verdict: Verdict): string =>
  verdict.step === "serve" ? `${verdict.as}${verdict.isRefreshed ? ", refreshed" : ""}` : verdict.step;

describe("judge", () => {
  it.each<[string, Ask, Stored | undefined, Served, "before" | "since" | undefined, string]>([
    ["fresh", asking(), stored(), hit(1), undefined, "fresh"],
    ["fresh, of a variant", asking(OF_VARIANT), stored(), hit(1), undefined, "fresh"],
    ["an index at the URL", asking(), INDEX, hit(1), undefined, "select"],
    ["an index at a variant, which only a forger stores", asking(OF_VARIANT), INDEX, hit(1), undefined, "ignore"],
    ["what cannot be read", asking(), undefined, hit(1), undefined, "ignore"],
    ["of another target", asking({ target: "/other" }), stored(), hit(1), undefined, "ignore"],
    ["of another variant", asking({ ...OF_VARIANT, selects: "de" }), stored(), hit(1), undefined, "ignore"],
    ["within stale-while-revalidate", asking(), stored(), hit(65_000), undefined, "serve-and-revalidate, refreshed"],
    ["the same, refreshed already", asking(), stored(), stale("revalidating"), undefined, "serve-and-revalidate"],
    ["older than max-age", demanding({ maxAgeMs: 10 }), stored(), hit(20), undefined, "refuse"],
    [
      "stale, and the origin failed",
      asking(),
      stored(),
      { ...stale("error", DOWN), ageMs: 80_000 },
      undefined,
      "fall back",
    ],
    [
      "stale, and the origin was slow",
      asking(),
      stored(),
      { ...stale("timeout"), ageMs: 80_000 },
      undefined,
      "fall back",
    ],
    ["of a load since", demanding({ maxAgeMs: 0 }), stored(), LOADED, "since", "collapsed"],
    ["of a load since, not for others", asking(), stored({ mustValidate: true }), LOADED, "since", "pass"],
    ["of a load before", asking(), stored(), LOADED, "before", "collapsed"],
    ["of a load before, too old", demanding({ maxAgeMs: 0 }), stored(), LOADED, "before", "refuse"],
    ["of a load of another process", demanding({ maxAgeMs: 0 }), stored(), LOADED, undefined, "refuse"],
    ["of a load joined by a forced call", asking({}, "new"), stored(), LOADED, "since", "collapsed"],
    ["of another process, for a forced call", asking({}, "new"), stored(), hit(1), undefined, "collapsed"],
    ["of before, for a forced call", asking({}, "new"), stored({ mustValidate: true }), hit(1), "before", "refuse"],
    ["stale, for a forced call", asking({}, "new"), stored({ mustValidate: true }), stale("age"), undefined, "pass"],
  ])("%s", (_, ask, found, served, received, verdict) => {
    expect(toText(judge(ask, found, served, () => received))).toBe(verdict);
  });

  it("falls back to the age in the tier, with the error of the load", () => {
    const served = { ...stale("error", DOWN), ageMs: 80_000, freshForMs: -20_000 };
    expect(judge(asking(), stored(), served, () => undefined)).toMatchObject({
      error: DOWN,
      found: { key: "url", held: { ageMs: 80_000, tierFreshForMs: -20_000 } },
    });
  });
});

describe("moves", () => {
  const refused: Found = { key: "url", stored: stored(), held: { freshness: FRESHNESS, ageMs: 0, tierFreshForMs: 1 } };

  it("refuses two responses: after those no newer one can be asked for", () => {
    const newer = afterRefusing(asking(), refused)!;
    const later = afterRefusing(newer, refused)!;
    expect([newer.accepts, later.accepts]).toEqual(["new", "later"]);
    expect(later.refused).toBe(refused);
    expect(afterRefusing(later, refused)).toBe(undefined);
  });

  it("ignores what is stored once, and keeps what may be a fallback", () => {
    const next = afterIgnoring({ ...asking(), refused })!;
    expect(next).toMatchObject({ accepts: "new", refused, visit: { key: "url", ignoresStored: true } });
    expect(afterIgnoring(next)).toBe(undefined);
    expect(afterIgnoring(asking({}, "later"))!.accepts).toBe("later");
  });
});
