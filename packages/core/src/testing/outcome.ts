/** Where a promise stands. */
export type Outcome<T> =
  | { readonly status: "pending" }
  | { readonly status: "fulfilled"; readonly value: T }
  | { readonly status: "rejected"; readonly reason: unknown };

const PENDING = { status: "pending" } as const;

/**
 * Lets everything run that needs no timer and no input: promise continuations, however many follow
 * one another, and what `setImmediate` was asked for.
 *
 * @param rounds turns of the event loop to let pass. Each runs every promise continuation that is due.
 */
export async function flush(rounds: number = 5): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

/**
 * Where `promise` stands once everything has run that needs no timer and no input ({@link flush}):
 * for asserting that something still waits. A rejection seen here counts as handled.
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
