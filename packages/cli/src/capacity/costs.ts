/**
 * Costs of one Redis. Names end in their unit: microseconds of its main thread, system calls included, or bytes of its
 * memory. Many processes send each step together, as to a busy Redis: an idle one spends more on each, and a
 * process with many calls in flight less.
 */
export interface Costs {
  /** A heartbeat of one process: it sends one to each node, four in `maxStaleness`. */
  readonly heartbeatUs: number;
  /** A read that Redis answers: two commands in one trip. */
  readonly hitUs: number;
  /** A read that loads: both reads, the lease, the store, and the message about it to the process that stored. */
  readonly missUs: number;
  /** A `set`, without its messages to processes that hold the key. */
  readonly setUs: number;
  /** The message about a changed key to one process that holds it. */
  readonly pushUs: number;
  /** The next read of that process: a hit in Redis, and the note that it holds the key again. */
  readonly rereadUs: number;
  /** `invalidateTags` of one tag, without its messages. */
  readonly tagCallUs: number;
  /** For one process that has loaded since the tag call before: a message, and what its next load asks for again. */
  readonly loadAfterTagCallUs: number;
  /**
   * All that one process sends and receives because of it, if it uses one entry under the tag afterwards: the message
   * about the version, the read, the wait for the process that loads, the read of its value.
   */
  readonly tagUseUs: number;
  /** The part of `tagUseUs` that the node with the versions pays in a cluster. */
  readonly tagUseAtVersionsUs: number;
  /** An entry without its value, and each byte of the value. */
  readonly entryBytes: number;
  readonly valueByteBytes: number;
  /** A key that any process has read since it last changed, and each process that has. */
  readonly trackedKeyBytes: number;
  readonly trackedItemBytes: number;
  readonly connectionBytes: number;
}

/** Measured by `npm run bench -- fleet`, which a test compares with `benchmarks/results/fleet.json`. */
export const COSTS: Costs = Object.freeze({
  heartbeatUs: 14.1,
  hitUs: 15.8,
  missUs: 63.9,
  setUs: 28.7,
  pushUs: 6.9,
  rereadUs: 15.3,
  tagCallUs: 32.3,
  loadAfterTagCallUs: 12.4,
  tagUseUs: 72.9,
  tagUseAtVersionsUs: 23.7,
  entryBytes: 490,
  valueByteBytes: 1.03,
  trackedKeyBytes: 25,
  trackedItemBytes: 72.6,
  connectionBytes: 34_700,
});
