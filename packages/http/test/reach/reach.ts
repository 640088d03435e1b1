import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect } from "vitest";
import { fateOf, REACH } from "../../src/reach.ts";

interface Found {
  readonly version: string;
  readonly runs: readonly string[];
  readonly names: Readonly<Record<string, readonly string[]>>;
  readonly leaks: Readonly<Record<string, readonly string[]>>;
}

const ADAPTERS = [
  ...["node:http", "node:https", "HTTP/2", "HTTP/2 over TLS", "Express", "Fastify", "Hono", "a fetch handler"],
];

/** Serves clients by all adapters in this Node, and compares what handlers could reach with the list. */
export function compareIn(node: string, version: string): void {
  const program = join(import.meta.dirname, "program.ts");
  const words = ["--no-warnings", "--conditions=@hotset/source", program];
  const found = JSON.parse(execFileSync(node, words, { encoding: "utf8", maxBuffer: 1e8 })) as Found;
  expect(found.version).toMatch(new RegExp(String.raw`^${version}\.`));
  // Each has run for all, and for its client alone.
  for (const adapter of ADAPTERS)
    expect([adapter, ...new Set(found.runs.filter((run) => /^(.*) (?:load|own)$/.exec(run)?.[1] === adapter))]).toEqual(
      [adapter, `${adapter} load`, `${adapter} own`],
    );
  const kinds = Object.keys(REACH);
  expect(Object.keys(found.names).toSorted()).toEqual(kinds.toSorted());
  const unlisted = kinds.flatMap((kind) =>
    found.names[kind]!.filter((name) => fateOf(kind, name) === undefined).map((name) => `${name} of ${kind}`),
  );
  expect(unlisted).toEqual([]);
  expect(found.leaks).toEqual(Object.fromEntries(ADAPTERS.map((adapter) => [adapter, []])));
}
