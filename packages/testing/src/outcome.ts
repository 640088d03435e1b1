// Not the global one, which fake timers of a test runner replace: nothing would end.
import { setImmediate } from "node:timers";

/** The state of a promise. */
export type Outcome<T> =
  | { readonly status: "pending" }
  | { readonly status: "fulfilled"; readonly value: T }
  | { readonly status: "rejected"; readonly reason: unknown };

const PENDING = { status: "pending" } as const;

/**
 * Runs all pending work that needs no timer and no input: promise continuations, any number in sequence, and callbacks
 * of `setImmediate`.
 *
 * @param rounds number of turns of the event loop. Each runs every promise continuation that is due.
 */
export async function flush(rounds: number = 5): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

/**
 * The state of `promise` after all work that needs no timer and no input ({@link flush}): for asserting that a promise
 * is still pending. A rejection seen here counts as handled. Never rejects.
 */
export async function outcome<T>(promise: PromiseLike<T>): Promise<Outcome<T>> {
  let seen: Outcome<T> = PENDING;
  promise.then(
    (value) => {
      seen = { status: "fulfilled", value };
    },
    (reason: unknown) => {
      seen = { status: "rejected", reason };
    },
  );
  await flush();
  return seen;
}
