import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

interface Costs {
  readonly promises: number;
  readonly entries: number;
}

/** Counts that may fall, and rise only with a reason in the log of decisions. */
const MOST: Readonly<Record<string, Costs>> = {
  "plain data": { promises: 4, entries: 127 },
  "plain data, a variant": { promises: 6, entries: 221 },
  "fetch handler": { promises: 8, entries: 134 },
  Hono: { promises: 14, entries: 134 },
  "node:http": { promises: 9, entries: 136 },
  Express: { promises: 9, entries: 138 },
};

describe("a hit in memory", async () => {
  const script = join(import.meta.dirname, "hit-costs.ts");
  const options = ["--no-warnings", "--conditions=@hotset/source", script];
  const { stdout } = await promisify(execFile)(process.execPath, options, { cwd: import.meta.dirname });
  const costs = JSON.parse(stdout) as Readonly<Record<string, Costs>>;

  it.each(Object.entries(MOST))("costs no more than before: %s", (name, most) => {
    const { promises, entries } = costs[name]!;
    expect({ promises: promises <= most.promises || promises, entries: entries <= most.entries || entries }).toEqual({
      promises: true,
      entries: true,
    });
  });
});
