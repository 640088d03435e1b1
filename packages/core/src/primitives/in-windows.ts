/**
 * How many keys of one call are under way at a time. All of them together take far less than one deadline of the
 * backend, on a busy machine too.
 */
export const WINDOW = 1_000;

/**
 * Runs `work` for each item, at most `width` at a time, in their order: one that settles makes room for the next.
 *
 * @returns the results, in the order of `items`.
 * @throws the first error in that order, after all have settled.
 */
export async function inWindow<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  width: number = WINDOW,
): Promise<readonly R[]> {
  const results: Promise<R>[] = [];
  const left = items.values();
  const runOn = async (): Promise<void> => {
    for (const item of left) {
      const result = work(item);
      results.push(result);
      await result.catch(() => undefined);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, runOn));
  return Promise.all(results);
}

/** Parts of at most `size` items, in their order. */
export function* partsOf<T>(items: readonly T[], size: number = WINDOW): Generator<readonly T[]> {
  if (items.length <= size) return yield items;
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}
