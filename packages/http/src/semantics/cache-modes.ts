/** The demands of the modes `cache` of `fetch`, as directives of a request. */
export const DIRECTIVES = {
  "no-store": "no-store",
  "no-cache": "no-cache",
  reload: "no-cache",
  "force-cache": "max-stale",
  "only-if-cached": "only-if-cached, max-stale",
} as const;

/** The mode of a `Request`; `undefined` for the default mode, and in a runtime whose requests have none. */
export const cacheMode = (mode: string): keyof typeof DIRECTIVES | undefined =>
  Object.hasOwn(DIRECTIVES, mode) ? (mode as keyof typeof DIRECTIVES) : undefined;
