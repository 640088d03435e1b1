import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";

/** The files that an entry loads of this package, and what else they import. */
function importsOf(file: string, seen = new Map<string, string>()): ReadonlyMap<string, string> {
  const source = readFileSync(file, "utf8");
  seen.set(file, source);
  for (const [, specifier = ""] of source.matchAll(/from "([^"]+)";/g)) {
    const path = join(dirname(file), specifier);
    if (specifier.startsWith(".") && !seen.has(path)) importsOf(path, seen);
  }
  return seen;
}

it.each(["index.ts", "fetch.ts"])("H91 %s needs nothing but web standards and core", (entry) => {
  const files = importsOf(join(import.meta.dirname, entry));
  expect(files.size).toBeGreaterThan(20);
  const others = new Set(
    [...files.values()].flatMap((source) => [...source.matchAll(/from "([^."][^"]*)";/g)]).map(([, name]) => name),
  );
  expect(others).toEqual(new Set(["@hotset/core", "@hotset/core/internal"]));
  const nodes = [...files].filter(([, source]) => /\b(?:Buffer\.|process\.\w|setImmediate\(|require\()/.test(source));
  expect(nodes.map(([file]) => file)).toEqual([]);
});
