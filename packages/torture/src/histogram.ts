/** One line of percentiles, and a bar for each power of two. */
export function histogram(title: string, values: readonly number[]): string {
  if (values.length === 0) return `${title}: nothing was measured`;
  const sorted = [...values].sort((a, b) => a - b);
  const percentile = (share: number): string =>
    `${sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(2)} ms`;
  const counts = new Map<number, number>();
  for (const value of sorted) {
    const bucket = value <= LEAST_MS ? LEAST_MS : 2 ** Math.ceil(Math.log2(value));
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
  }
  const most = Math.max(...counts.values());
  const bars = [...counts].map(
    ([bucket, count]) =>
      `  up to ${String(bucket).padStart(8)} ms ${String(count).padStart(7)} ${"#".repeat(Math.ceil((count / most) * 40))}`,
  );
  return [
    `${title}, ${sorted.length} times: p50 ${percentile(0.5)}, p90 ${percentile(0.9)}, p99 ${percentile(0.99)}, max ${percentile(1)}`,
    ...bars,
  ].join("\n");
}

const LEAST_MS = 0.125;
