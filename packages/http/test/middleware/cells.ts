import { describe, expect, it } from "vitest";
import { APPS } from "./apps.ts";
import { answersOf } from "./compare.ts";
import { OF_NODE, PARTS, type Kit } from "./parts.ts";

/** One test for each framework, each of these middlewares, and each place of it. */
export function describeCells(kit: () => Kit, chosen: readonly string[]): void {
  describe.each(Object.keys(APPS))("H96 %s", (app) => {
    const names = app === "node:http" ? chosen.filter((name) => OF_NODE.includes(name)) : chosen;
    const cells = names.flatMap((name) => (["in front", "behind"] as const).map((place) => [name, place] as const));

    it.each(cells)("%s %s: the answers are those without the cache", async (name, place) => {
      const { bare, cached } = await answersOf((cache, surroundings) =>
        APPS[app]!(PARTS[name]!(kit(), surroundings, place), place, cache),
      );
      expect(cached).toEqual(bare);
    });
  });
}
