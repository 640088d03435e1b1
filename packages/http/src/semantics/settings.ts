import type { FieldLimits, FieldLines, Head } from "./fields.ts";
import type { RequestShape } from "./request-shape.ts";

/** Lifetimes that a rule gives, in milliseconds. */
export interface WindowsMs {
  readonly ttlMs?: number | undefined;
  readonly staleWhileRevalidateMs?: number | undefined;
  readonly staleIfErrorMs?: number | undefined;
}

/** An answer on its way to a client, or to the CDN in front. */
export interface LabelledAnswer {
  readonly method: string;
  readonly url: string;
  /** Fields of the response, with those of its tags. */
  readonly fields: FieldLines;
  readonly settings: Settings;
  /** Tags beyond those that the response gives. */
  readonly tags: readonly string[] | undefined;
  /** When its request came, by the clock of the cache. */
  readonly startedAt: number | undefined;
  /** Whether others get it from the cache, too. */
  readonly isStored: boolean;
  readonly isStale: boolean;
}

/** Tells a CDN in front by which keys an answer is purged. */
export interface CdnLabels {
  /** @param lines the fields that the answer would have. */
  labelled(lines: FieldLines, answer: LabelledAnswer): FieldLines;
}

/** The grounds of all decisions, resolved from the options of the cache and the rule that matched. */
export interface Settings extends FieldLimits {
  /** The name of the cache in Cache-Status. */
  readonly name: string;
  /** Whether the answer to this request has that field, and whether the field names the key. */
  readonly showsStatus: (request: RequestShape) => boolean;
  readonly showsKey: boolean;
  /** RFC 9111's kinds of cache: one that many users share, or one of a single user. */
  readonly isShared: boolean;
  /** Targeted Cache-Control fields, nearest first; a private cache has none. */
  readonly targetedFields: readonly string[];
  readonly setCookie: "refuse" | "strip" | "store";
  /** Whether a response to a request with cookies may be shared by others, in a cache that is. */
  readonly sharesCookies: boolean;
  readonly heuristic: { readonly fraction: number; readonly maxMs: number } | undefined;
  readonly whenDisconnectedMs?: number | undefined;
  readonly maxBodyBytes: number;
  /** Selecting fields that may be stored though each client chooses its own value. */
  readonly varyOn: readonly string[];
  readonly maxTags: number;
  readonly maxTagBytes: number;
  /** Fields whose values are tags, and what separates them. */
  readonly tagFields: ReadonlyMap<string, "," | " ">;
  /** Whether a response has tags of its path. */
  readonly tagsPaths: boolean;
  /** Where the response says nothing. */
  readonly defaults: WindowsMs;
  /** In place of what the response says. */
  readonly override: WindowsMs;
  /** Which responses may be stored, of those that say so. */
  readonly stores?: ((head: Head) => boolean) | undefined;
  /** Whether a rule names this status, so that an error may be stored. */
  readonly namesStatus?: ((status: number) => boolean) | undefined;
  /** Cache-Control of stored responses as clients get it; `null` for none. */
  readonly clientCacheControl?: string | null | undefined;
  /** Absent without a CDN that gets purges. */
  readonly cdn?: CdnLabels | undefined;
}

export const DEFAULT_SETTINGS: Settings = Object.freeze({
  name: "hotset",
  showsStatus: () => true,
  showsKey: false,
  isShared: true,
  targetedFields: ["cdn-cache-control"],
  setCookie: "refuse",
  sharesCookies: false,
  heuristic: { fraction: 0.1, maxMs: 86_400_000 },
  maxBodyBytes: 5 * 1024 * 1024,
  varyOn: [],
  maxFields: 200,
  maxFieldBytes: 64 * 1024,
  maxTags: 128,
  maxTagBytes: 256,
  tagFields: new Map<string, "," | " ">([
    ["cache-tag", ","],
    ["surrogate-key", " "],
    ["xkey", " "],
  ]),
  tagsPaths: false,
  defaults: {},
  override: {},
});
