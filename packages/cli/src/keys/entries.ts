import { rootOf } from "../caches.ts";
import type { Session } from "../command.ts";
import { decoded } from "./readable.ts";
import { sampleOf, type SampledKey } from "./sample.ts";

/** An entry of a cache, and where it is. */
export interface PlacedEntry extends SampledKey {
  /** Names of its namespaces, from the outside in; empty for the cache itself. */
  readonly path: readonly string[];
}

/**
 * Entries of one cache in all its namespaces, in a sample.
 *
 * @param most keys that are looked at.
 * @param ending of their keys in Redis. @default any
 * @throws the error of `SCAN`
 */
export async function entriesOf(
  session: Session,
  name: string,
  most: number,
  ending = "",
): Promise<{ readonly entries: readonly PlacedEntry[]; readonly isComplete: boolean }> {
  const root = rootOf(session.arguments, name);
  const match = `${glob(root)}:*${glob(ending)}`;
  const { keys, isComplete } = await sampleOf(session, { keys: most, match });
  const entries = keys.flatMap((one): readonly PlacedEntry[] => {
    if (one.known?.part !== "entry" || !one.key.startsWith(`${root}:`)) return [];
    const below = one.key.slice(root.length, one.key.indexOf("::", root.length));
    return [{ ...one, path: below === "" ? [] : below.slice(1).split(":").map(decoded) }];
  });
  return { entries, isComplete };
}

/** Text for `MATCH` that stands for itself. */
const glob = (text: string): string => text.replace(/[\\*?[\]]/g, String.raw`\$&`);
