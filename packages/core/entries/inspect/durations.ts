/** Durations by buckets a twelfth of an octave wide. */
export type Durations = Map<number, number>;

export const bucketOf = (ms: number): number => Math.ceil(Math.log2(Math.max(1, ms * 1_000)) * 12);

/** Adds to the sum of an owner. */
export function addTo<Id extends string>(sums: Map<Id, Durations>, id: Id, durations: Durations): void {
  const sum = sums.get(id) ?? new Map<number, number>();
  sums.set(id, sum);
  for (const [bucket, count] of durations) sum.set(bucket, (sum.get(bucket) ?? 0) + count);
}

/** The sum of an owner over steps. */
export function merged(
  steps: readonly { readonly durations: ReadonlyMap<string, Durations> }[],
  id: string,
  first: Durations = new Map(),
): Durations {
  const sums = new Map([["", new Map(first)]]);
  for (const { durations } of steps) addTo(sums, "", durations.get(id) ?? new Map());
  return sums.get("")!;
}

/** In milliseconds; `NaN` for none. */
export function percentile(durations: Durations, share: number): number {
  let left = Math.ceil(share * sizeOf(durations));
  for (const [bucket, count] of [...durations].toSorted(([one], [other]) => one - other))
    if ((left -= count) <= 0) return 2 ** (bucket / 12) / 1_000;
  return NaN;
}

export const sizeOf = (durations: Durations): number => [...durations.values()].reduce((sum, count) => sum + count, 0);
