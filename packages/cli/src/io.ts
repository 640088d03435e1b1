/** The input and output of a run. */
export interface Io {
  /** The variables of the process. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Whether the output is a terminal: colours are for it alone. */
  readonly isTerminal: boolean;
  /** Whether errors and progress go to a terminal. @default false */
  readonly isErrorTerminal?: boolean | undefined;
  /** Takes text for stdout. */
  print(text: string): void;
  /** Takes text for stderr. */
  complain(text: string): void;
  /** Ctrl-C: ends `watch` as it should, and any other command before its time. */
  readonly signal: AbortSignal;
}

/** How a run ended. */
export const EXIT = {
  /** All is well, or done. */
  fine: 0,
  /** `doctor` has findings of `--fail-on`, or the key that was asked for is not there. */
  findings: 1,
  /** Arguments or settings that can never work. Redis was not asked. */
  usage: 2,
  /** Redis could not be reached, did not answer in time, or refused the login. */
  unreachable: 3,
  /** Redis refused a command, or a fault in this program. */
  failed: 4,
  /** Ctrl-C before the end, as shells have it. `watch` ends with 0. */
  interrupted: 130,
} as const;

/** One of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
