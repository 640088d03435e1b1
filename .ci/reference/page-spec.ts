/** One page of the reference. */
export interface PageSpec {
  /** Its file in docs/reference/api, without `.md`. */
  readonly file: string;
  readonly title: string;
  readonly intro: string;
  /** Public names, in this order; `redis@@hotset/redis` for one that two packages use for different things. */
  readonly names: readonly string[];
}
