import type { Finding, PageName } from "../data/pages.ts";
import type { Figures, Picture, ProcessPicture } from "./picture.ts";

type Level = Finding["level"];

/** One case of a rule. */
export interface Found {
  /** @default that of the rule */
  readonly level?: Level;
  readonly page?: PageName;
  readonly remedy?: string;
  /** Begins the text, and so does the name of the process. */
  readonly cache?: string;
  readonly process?: string | undefined;
  /** Names of the processes in the text. @default those of `process` */
  readonly by?: readonly string[];
  readonly text: string;
  /** Name of what was found: the same for each process in which it is found, and at any time. */
  readonly subject: string;
  /** The larger, the more it departs: of several processes, and of several moments, the text with the largest stays. */
  readonly weight: number;
}

/** What is looked for, with its threshold and its remedy, as sentences of a table. */
export interface Rule {
  readonly name: string;
  readonly what: string;
  readonly when: string;
  readonly remedy: string;
  readonly level: Level;
  readonly page: PageName;
  find(picture: Picture, now: number): readonly Found[];
}

/** The least that a rule finds. */
export const ENOUGH = {
  errors: 3,
  loadErrors: 5,
  callers: 20,
  invalidations: 30,
  keyInvalidations: 120,
  evictions: 50,
};
export const LONG_WAIT_MS = 10_000;
/** States of a tier of which a rule says it all. */
export const TROUBLED: readonly string[] = ["down", "detached", "degraded", "bypassed"];

interface Of {
  readonly cache: string;
  readonly isOwn: boolean;
  readonly startedAt: number;
}

/** A record that is old says nothing of now. */
export function eachProcess(
  processes: readonly ProcessPicture[],
  find: (figures: Figures, of: Of) => readonly Omit<Found, "cache" | "process">[],
): readonly Found[] {
  return processes.flatMap(({ cache, name, figures, silentMs, everyMs, startedAt }) =>
    figures === undefined || silentMs > 2.5 * everyMs
      ? []
      : find(figures, { cache, isOwn: silentMs === 0, startedAt }).map((found) => ({ ...found, cache, process: name })),
  );
}
