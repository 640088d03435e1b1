import type { PageName } from "../data/pages.ts";

export interface KeyPlace {
  readonly cache: string;
  readonly namespace: readonly string[];
  readonly key: string;
}

/** Opens another page, and there a key. The key stands in no address. */
export type Go = (page: PageName, key?: KeyPlace) => void;
