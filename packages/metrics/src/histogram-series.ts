/** One series of a histogram: its counts are there before the first value, so a value takes some nanoseconds. */
export class HistogramSeries {
  /** Ascending upper bounds. */
  readonly bounds: readonly number[];
  /** For each upper bound, and for what lies above all. */
  readonly counts: Float64Array;
  /** The sum of all values. */
  sum = 0;
  /** How many values there were. */
  count = 0;

  /** @param bounds ascending; a value that equals one lies within it */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** Adds a value, in the unit of the instrument. */
  record(value: number): void {
    const { bounds } = this;
    let i = 0;
    while (i < bounds.length && value > bounds[i]!) i += 1;
    this.counts[i]! += 1;
    this.sum += value;
    this.count += 1;
  }
}
