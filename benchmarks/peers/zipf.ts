/** Numbers below `count` by Zipf: the same ones for the same seed. @param skew above 0; 0.99 as YCSB has it */
export function zipf(count: number, skew: number, seed: number): () => number {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let i = 0; i < count; i += 1) sums[i] = sum += 1 / (i + 1) ** skew;
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const wanted = (state / 2 ** 32) * sum;
    let [from, to] = [0, count - 1];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (sums[middle]! < wanted) from = middle + 1;
      else to = middle;
    }
    return from;
  };
}
