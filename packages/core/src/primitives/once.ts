import type { Awaitable } from "../contracts/awaitable.ts";

/** Runs `connect` on first use, once, and again after a failed attempt: a failure is forgotten. */
export const once = <T>(connect: () => Promise<T>): (() => Promise<T>) => {
  let attempt: Promise<T> | undefined;
  return () =>
    (attempt ??= connect().catch((error: unknown) => {
      attempt = undefined;
      throw error;
    }));
};

export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  value !== null &&
  (typeof value === "object" || typeof value === "function") &&
  typeof (value as { then?: unknown }).then === "function";

/** Applies `next` to the value, synchronously unless the value is a promise. */
export const whenReady = <T, R>(value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> =>
  isThenable(value) ? value.then(next) : next(value);
