/**
 * How many keys of one call are under way at a time. All of them together take far less than one deadline of the
 * backend, on a busy machine too.
 */
export const WINDOW = 1_000;

/**
 * Runs `work` for each item, at most {@link WINDOW} at a time, in their order: one that settles makes room for the
 * next.
 *
 * @returns the results, in the order of `items`.
 * @throws the first error in that order, after all have settled.
 */
export async function inWindow<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> {
  const outcomes = new Array<PromiseSettledResult<R>>(items.length);
  let next = 0;
  const runOn = async (): Promise<void> => {
    while (next < items.length) {
      const i = next++;
      outcomes[i] = await work(items[i]!).then(
        (value) => ({ status: "fulfilled", value }),
        (reason: unknown) => ({ status: "rejected", reason }),
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(WINDOW, items.length) }, runOn));
  return outcomes.map((outcome) => {
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  });
}

/** Parts of at most {@link WINDOW} items, in their order. */
export function* partsOf<T>(items: readonly T[]): Generator<readonly T[]> {
  if (items.length <= WINDOW) return yield items;
  for (let from = 0; from < items.length; from += WINDOW) yield items.slice(from, from + WINDOW);
}
