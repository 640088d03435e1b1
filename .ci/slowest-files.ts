/** The part of vitest's JSON report that is read here. */
export interface TimedReport {
  readonly testResults: readonly {
    /** The absolute path of the test file. */
    readonly name: string;
    /** Epoch milliseconds. */
    readonly startTime: number;
    readonly endTime: number;
  }[];
}

/** A heading and one line for each of the `count` files that took longest, longest first, with paths below `top`. */
export function slowestFiles({ testResults }: TimedReport, top: string, count: number): readonly string[] {
  const took = testResults
    .map(({ name, startTime, endTime }) => ({ name: name.replace(`${top}/`, ""), ms: endTime - startTime }))
    .sort((one, other) => other.ms - one.ms);
  const listed = took.slice(0, count);
  const seconds = (files: readonly { readonly ms: number }[]): string =>
    (files.reduce((sum, { ms }) => sum + ms, 0) / 1_000).toFixed(1);
  return [
    `the slowest ${listed.length} of ${took.length} files: ${seconds(listed)} of ${seconds(took)} s, added up`,
    ...listed.map(({ name, ms }) => `${(ms / 1_000).toFixed(1).padStart(7)} s  ${name}`),
  ];
}
