/** Thenables count: query builders are awaited. */
export type Awaitable<T> = T | PromiseLike<T>;

/** Runs `connect` on first use, once, and again after a failed attempt: a failure is forgotten. */
export const once = <T>(connect: () => Promise<T>): (() => Promise<T>) => {
  let attempt: Promise<T> | undefined;
  return () =>
    (attempt ??= connect().catch((error: unknown) => {
      attempt = undefined;
      throw error;
    }));
};
