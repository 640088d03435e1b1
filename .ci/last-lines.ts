/** Its lines end a run, where a reader looks first: with one of them for each name, they are at most ten. */
const MOST_NAMES = 8;

/**
 * The end of a run: where its log is, the names of what failed, and `N passed, N failed`.
 *
 * @param failed names of tests, files and steps.
 * @param log the path of the file that has the reasons too.
 */
export function lastLines(passed: number, failed: readonly string[], log: string): readonly string[] {
  const shown = failed.length > MOST_NAMES ? failed.slice(0, MOST_NAMES - 1) : failed;
  const more = failed.length - shown.length;
  return [
    `log: ${log}`,
    ...shown.map((name) => `✗ ${name.replaceAll(/\s+/g, " ")}`),
    ...(more > 0 ? [`✗ and ${more} more, in the log`] : []),
    `${passed} passed, ${failed.length} failed`,
  ];
}
