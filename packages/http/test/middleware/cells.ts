import type { RequestListener } from "node:http";
import type { HttpCache } from "@hotset/http";
import { describe, expect, it } from "vitest";
import { APPS, type Place } from "./apps.ts";
import { STEPS } from "./client.ts";
import { answersOf } from "./compare.ts";
import { OF_NODE, PARTS, type Kit, type Surroundings } from "./parts.ts";

/** An application of a framework, with one middleware. */
export type Make = (
  name: string,
  place: Place,
  cache: HttpCache | undefined,
  surroundings: Surroundings,
) => RequestListener | Promise<RequestListener>;

/** One test for each of these middlewares, and each place of it. */
export function describeCells(app: string, names: readonly string[], make: Make, steps = STEPS): void {
  const cells = names.flatMap((name) => (["in front", "behind"] as const).map((place) => [name, place] as const));

  describe(`H96 ${app}`, () => {
    it.each(cells)("%s %s: the answers are those without the cache", async (name, place) => {
      const { bare, cached } = await answersOf((cache, surroundings) => make(name, place, cache, surroundings), steps);
      expect(cached).toEqual(bare);
    });
  });
}

/** The middlewares of Node, in Express and without. */
export function describeNode(kit: () => Kit, chosen: readonly string[]): void {
  for (const [app, of] of Object.entries(APPS))
    describeCells(
      app,
      app === "node:http" ? chosen.filter((name) => OF_NODE.includes(name)) : chosen,
      (name, place, cache, surroundings) => of(PARTS[name]!(kit(), surroundings, place), place, cache),
    );
}
