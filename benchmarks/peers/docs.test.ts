import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PRODUCTS } from "../contenders/index.ts";
import { PAGES, plotsOf, withFigures } from "./docs.ts";
import { packagesWithoutFigures, readResults, RESULTS, type Row } from "./results.ts";
import { judge } from "./targets.ts";

const TOP = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(TOP, path), "utf8");

describe("figures in the pages", () => {
  it.each(PAGES)("%s shows the committed results (npm run write -- performance writes it)", (page) => {
    const text = read(page);
    expect(text).toContain("<!-- figures: ");
    expect(withFigures(text, readResults("peers"))).toBe(text);
  });

  it("the plots are those of the committed results", () => {
    for (const [name, svg] of Object.entries(plotsOf(readResults("peers"))))
      expect(readFileSync(join(RESULTS, name), "utf8")).toBe(svg);
  });

  it("the committed results were measured with the versions that are pinned", () => {
    const { dependencies } = JSON.parse(read("benchmarks/package.json")) as { dependencies: Record<string, string> };
    const { versions } = readResults("peers").machine;
    const pinned = (name: string): string => dependencies[name]!.replace(/^npm:.*@/, "");
    const own = Object.entries(versions).filter(([name]) => !dependencies[name]!.startsWith("workspace:"));
    expect(Object.fromEntries(own)).toEqual(Object.fromEntries(own.map(([name]) => [name, pinned(name)])));
    const used = new Set(PRODUCTS.flatMap(({ packages }) => packages));
    const known = [...Object.keys(versions), ...packagesWithoutFigures(readResults("peers"))];
    expect(known.toSorted()).toEqual([...used].toSorted());
  });
});

describe("targets", () => {
  const row = (scenario: string, product: string, metrics: Readonly<Record<string, number>>): Row => ({
    scenario,
    product,
    metrics: Object.fromEntries(
      Object.entries(metrics).map(([name, value]) => [name, { median: value, least: value, most: value }]),
    ),
  });
  const verdicts = (...rows: readonly Row[]) =>
    Object.fromEntries(judge({ rows }).map(({ what, value, isMet }) => [what, [value, isMet]]));

  it("a target is met at its bound, not met beyond it, and neither where nothing was measured", () => {
    const hits = (ours: number) => [
      row("memory hit, small", "hotset", { ns: ours }),
      row("memory hit, small", "lru-cache", { ns: 100 }),
    ];
    expect(verdicts(...hits(125))["memory hit, async"]).toEqual([
      "1.25 times an async function around lru-cache",
      true,
    ]);
    expect(verdicts(...hits(126))["memory hit, async"]).toEqual([
      "1.26 times an async function around lru-cache",
      false,
    ]);
    expect(verdicts()["memory hit, async"]).toEqual(["not measured", undefined]);
  });

  it("rates are compared with the best of the other caches, and not with the limits", () => {
    const scenario = "backend hit, 200 B, 64 in flight";
    const rates = (ours: number) => [
      row(scenario, "hotset, string layout", { perSecond: ours }),
      row(scenario, "bentocache", { perSecond: 10_000 }),
      row(scenario, "cachified", { perSecond: 20_000 }),
      row(scenario, "node-redis GET", { perSecond: 90_000 }),
    ];
    const what = "backend hit of 200 B, 64 in flight: string";
    expect(verdicts(...rates(24_000))[what]).toEqual(["1.20 times cachified", true]);
    expect(verdicts(...rates(23_000))[what]).toEqual(["1.15 times cachified", false]);
  });

  it("a fault is passed by no failed request, no wrong value and no wait beyond the response timeout", () => {
    const suffered = { failed: 0, wrong: 0, longestMs: 1_050 };
    const isMet = (metrics: Readonly<Record<string, number>>) =>
      verdicts(row("fault: frozen", "hotset", metrics))["fault: frozen"]![1];
    expect(isMet(suffered)).toBe(true);
    expect(isMet({ ...suffered, failed: 1 })).toBe(false);
    expect(isMet({ ...suffered, wrong: 1 })).toBe(false);
    expect(isMet({ ...suffered, longestMs: 1_200 })).toBe(false);
  });
});
