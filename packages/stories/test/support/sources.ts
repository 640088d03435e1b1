/** A source of truth that counts its reads. */
export interface Source<T> {
  (): Promise<T>;
  readonly runs: number;
}

function source<T>(give: (run: number) => Promise<T>): Source<T> {
  let runs = 0;
  return Object.defineProperty(() => give((runs += 1)), "runs", { get: () => runs }) as Source<T>;
}

/** Returns `value-1`, `value-2` and so on. */
export const numbered = (value: string = "value"): Source<string> =>
  source((run) => Promise.resolve(`${value}-${run}`));

/** Rejects each time with the same error. */
export const failing = (error: unknown = new Error("the source is down")): Source<never> =>
  source(() => Promise.reject(error));
