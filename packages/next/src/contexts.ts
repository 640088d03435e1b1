import type { IncrementalCacheValue } from "next/dist/server/response-cache/index.js";

/** As Next gives it to the constructor of a handler, once or more for each request. */
export interface NextBuildContext {
  /** Whether the handler runs in `next dev`. */
  readonly dev?: boolean | undefined;
  /** The files as Next reads them. */
  readonly fs?: object | undefined;
  /** Where the pages of the build are. */
  readonly serverDistDir?: string | undefined;
  /** Tags that count as invalidated for this request. */
  readonly revalidatedTags?: readonly string[] | undefined;
}

/** Seconds; `false` is never. */
export interface NextPageLifetime {
  /** How long it is fresh. */
  readonly revalidate: number | false;
  /** How long it is served at all. */
  readonly expire?: number | undefined;
}

/** To read: a page or an image, or a `fetch`, which names its tags. */
export interface NextReadContext {
  /** `FETCH`, `APP_PAGE` and the like. */
  readonly kind: string;
  readonly isFallback?: boolean | undefined;
  /** Seconds that a `fetch` may be old. */
  readonly revalidate?: number | false | undefined;
  /** Tags of the `fetch`. */
  readonly tags?: readonly string[] | undefined;
  /** Tags of the page that reads. */
  readonly softTags?: readonly string[] | undefined;
}

/** To write: a page or an image with its lifetime, or a `fetch` with its tags. */
export interface NextWriteContext {
  /** Whether the entry is of a `fetch`. */
  readonly fetchCache?: boolean | undefined;
  /** Tags of the `fetch`. */
  readonly tags?: readonly string[] | undefined;
  /** The lifetime of a page. */
  readonly cacheControl?: NextPageLifetime | undefined;
}

/** A page, an image or the result of a `fetch`, as Next gets it. */
export interface NextPage {
  /** Milliseconds since the epoch. */
  lastModified: number;
  /** `null`: it is known that there is none. */
  value: IncrementalCacheValue | null;
  /** Seconds; `false` is never. */
  cacheControl?: { revalidate: number | false; expire: number | undefined };
}
