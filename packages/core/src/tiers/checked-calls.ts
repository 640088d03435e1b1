import type { TagVersions } from "../contracts/backend.ts";
import { describe } from "../primitives/duration.ts";
import type { BackendCalls } from "./backend-calls.ts";

/** Tag versions behind deadline and breaker, like every other call of the backend. */
export function boundedVersions(source: TagVersions, calls: BackendCalls): TagVersions {
  const call = <T>(part: string, run: () => Promise<T>, ends = false): Promise<T> =>
    calls.run("tags", { keySpace: undefined, part, ends }, calls.deadlineMs, run);
  const partOf = ([first = ""]: readonly string[]): string => calls.partOf(first);
  return {
    read: (tags) => call(calls.partOfVersionReads, () => source.read(tags)),
    pin: (tags) => call(partOf(tags), () => source.pin(tags)),
    unchangedSince: (at, tags) => call(partOf(tags), () => source.unchangedSince(at, tags)),
    renew: (tags, mode) => call(partOf(tags), () => source.renew(tags, mode), ENDS),
  };
}

/** @throws {TypeError} for an answer that does not say for each key what was found. */
export function checkedBatch<T>(found: readonly T[], count: number): readonly T[] {
  if (Array.isArray(found) && found.length === count) return found;
  const got = Array.isArray(found) ? `${found.length} of them` : describe(found);
  throw new TypeError(`batch.read must resolve to an array with one item for each of ${count} keys, got ${got}`);
}

const ENDS = true;
