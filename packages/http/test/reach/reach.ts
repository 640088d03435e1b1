import { execFileSync } from "node:child_process";
import { join } from "node:path";
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

/** What handlers could reach in a Node, beside the list. */
export interface Reached {
  readonly version: string;
  /** Adapters that did not run a load for all, and one for its client alone. */
  readonly notRun: readonly string[];
  readonly unlisted: readonly string[];
  /** Kinds of the list that no adapter has, and the other way round. */
  readonly kinds: readonly string[];
  /** Ways from a load to something of the client, by adapter. */
  readonly leaks: readonly string[];
}

/** Serves clients by all adapters in this Node, and compares what handlers could reach with the list. */
export function reachedIn(node: string): Reached {
  const program = join(import.meta.dirname, "program.ts");
  const words = ["--no-warnings", "--conditions=@hotset/source", program];
  const found = JSON.parse(execFileSync(node, words, { encoding: "utf8", maxBuffer: 1e8 })) as Found;
  const kinds = new Set([...Object.keys(REACH), ...Object.keys(found.names)]);
  return {
    version: found.version.split(".", 1)[0]!,
    notRun: ADAPTERS.flatMap((adapter) =>
      [`${adapter} load`, `${adapter} own`].filter((run) => !found.runs.includes(run)),
    ),
    unlisted: Object.entries(found.names).flatMap(([kind, names]) =>
      names.filter((name) => fateOf(kind, name) === undefined).map((name) => `${name} of ${kind}`),
    ),
    kinds: [...kinds].filter((kind) => !(kind in REACH && kind in found.names)),
    leaks: ADAPTERS.flatMap((adapter) => (found.leaks[adapter] ?? ["not searched"]).map((way) => `${adapter}: ${way}`)),
  };
}

/** For the Node of that major version. */
export const nothingIn = (version: string): Reached => ({ version, notRun: [], unlisted: [], kinds: [], leaks: [] });
