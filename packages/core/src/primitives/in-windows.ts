/**
 * How many keys of one call are under way at a time. All of them together take far less than one deadline of the
 * backend, on a busy machine too.
 */
export const WINDOW = 1_000;

/** Parts of at most `size` items, in their order. */
export function* partsOf<T>(items: readonly T[], size: number = WINDOW): Generator<readonly T[]> {
  if (items.length <= size) return yield items;
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}
