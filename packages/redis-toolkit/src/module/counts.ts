/** Counts of all modules of all views of one connection, since it was made. */
export interface ModuleCounts {
  /** Locks that were taken. */
  readonly locksAcquired: number;
  /** Acquisitions that gave up: others held the lock. */
  readonly locksUnavailable: number;
  /** Locks that ended before they were released. */
  readonly locksLost: number;
  /** The time that acquisitions waited for others, in milliseconds, added up. */
  readonly lockWaitMs: number;
  /** Calls that a limit allowed. */
  readonly limitsAllowed: number;
  /** Calls that a limit refused. */
  readonly limitsRefused: number;
  /** Among these two, decisions without Redis. */
  readonly limitsDegraded: number;
  /** Sessions that were made. */
  readonly sessionsCreated: number;
  /** Reads, touches and changes of a session that was there. */
  readonly sessionsFound: number;
  /** Reads, touches and changes of a session that was not there. */
  readonly sessionsMissing: number;
  /** Sessions that were destroyed or revoked. */
  readonly sessionsEnded: number;
  /** Messages that a subscription left out, since its reader was too slow. */
  readonly messagesDropped: number;
  /** Messages that could not be read, or did not fit the schema. */
  readonly messagesCorrupt: number;
  /** How often subscriptions were interrupted: messages may have been missed. */
  readonly subscriptionGaps: number;
}

/** Decisions of the limits of one name. */
export interface LimitCounts {
  /** Calls that were allowed. */
  allowed: number;
  /** Calls that were refused. */
  refused: number;
}

/** All of them at 0. */
export const noCounts = (): { -readonly [name in keyof ModuleCounts]: number } => ({
  locksAcquired: 0,
  locksUnavailable: 0,
  locksLost: 0,
  lockWaitMs: 0,
  limitsAllowed: 0,
  limitsRefused: 0,
  limitsDegraded: 0,
  sessionsCreated: 0,
  sessionsFound: 0,
  sessionsMissing: 0,
  sessionsEnded: 0,
  messagesDropped: 0,
  messagesCorrupt: 0,
  subscriptionGaps: 0,
});
