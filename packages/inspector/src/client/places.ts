import type { Live, PageName } from "../data/pages.ts";

export interface KeyPlace {
  readonly cache: string;
  readonly namespace: readonly string[];
  readonly key: string;
}

/** Opens another page, and there a key. The key stands in no address. */
export type Go = (page: PageName, key?: KeyPlace) => void;

/** What each page gets. */
export interface PageProps {
  readonly live: Live;
  readonly go: Go;
  /** The key that another page wants to be shown. */
  readonly chosen: KeyPlace | undefined;
}

export const TITLES: Readonly<Record<PageName, string>> = {
  overview: "Overview",
  keys: "Keys",
  invalidations: "Invalidations",
  stampedes: "Stampedes",
  stale: "Stale",
  fleet: "Fleet",
  redis: "Redis",
  queues: "Queues",
  locks: "Locks",
  limits: "Limits",
  http: "HTTP",
};
