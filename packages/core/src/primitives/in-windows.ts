/** So many keys of one call are under way at a time: far less work than one deadline allows. */
export const WINDOW = 1_000;

/** Parts of at most `size` items, in their order. */
export function* partsOf<T>(items: readonly T[], size: number = WINDOW): Generator<readonly T[]> {
  if (items.length <= size) return yield items;
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}
