import { existsSync } from "node:fs";
import { sqlite } from "hotset";
import { shown, type Arguments } from "../arguments.ts";
import { UsageError } from "../errors.ts";
import type { Io } from "../io.ts";
import { globOf } from "../keys/glob.ts";
import type { SampledKey } from "../keys/sample.ts";
import { Progress } from "../output/progress.ts";

/**
 * Entries in a file of `sqlite()`, as keys that were looked at in Redis. Their keys are those of the cache.
 *
 * @throws {UsageError} for a file that is not there: it would be made.
 */
export async function keysOfFile(
  given: Arguments,
  io: Io,
  limit: number,
): Promise<{ readonly keys: readonly SampledKey[]; readonly isComplete: boolean }> {
  const file = given.text("sqlite")!;
  if (!existsSync(file)) throw new UsageError(`--sqlite: there is no file ${shown(file)}`);
  const matches = given.words[0] === undefined ? undefined : globOf(given.words[0]);
  const backend = sqlite(file);
  const found: SampledKey[] = [];
  let progress: Progress | undefined;
  let before = 0;
  try {
    for await (const { keys, looked, total = 0 } of backend.walk!({ prefix: "", signal: io.signal })) {
      progress ??= new Progress(io, total);
      progress.add(looked - before);
      before = looked;
      for (const { key, expiresInMs: lifeMs, bytes } of keys) {
        if (matches?.test(key) === false) continue;
        if (found.length === limit) return { keys: found, isComplete: false };
        found.push({
          key,
          type: "entry",
          lifeMs,
          bytes,
          known: { module: "cache", tenant: "", owner: "", part: "entry", ends: "either" },
        });
      }
    }
    return { keys: found, isComplete: true };
  } finally {
    progress?.end();
    await backend.close();
  }
}
