import type { IncrementalCacheValue } from "next/dist/server/response-cache/index.js";

/** As Next gives it to the constructor of a handler, once or more for each request. */
export interface NextBuildContext {
  readonly dev?: boolean | undefined;
  /** The files as Next reads them. */
  readonly fs?: object | undefined;
  readonly serverDistDir?: string | undefined;
  /** Tags that count as invalidated for this request. */
  readonly revalidatedTags?: readonly string[] | undefined;
}

/** Seconds; `false` is never. */
export interface NextPageLifetime {
  readonly revalidate: number | false;
  readonly expire?: number | undefined;
}

/** To read: a page or an image, or a `fetch`, which names its tags. */
export interface NextReadContext {
  readonly kind: string;
  readonly isFallback?: boolean | undefined;
  readonly revalidate?: number | false | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Tags of the page that reads. */
  readonly softTags?: readonly string[] | undefined;
}

/** To write: a page or an image with its lifetime, or a `fetch` with its tags. */
export interface NextWriteContext {
  readonly fetchCache?: boolean | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly cacheControl?: NextPageLifetime | undefined;
}

/** A page, an image or the result of a `fetch`, as Next gets it. */
export interface NextPage {
  /** Milliseconds since the epoch. */
  lastModified: number;
  value: IncrementalCacheValue | null;
  cacheControl?: { revalidate: number | false; expire: number | undefined };
}
