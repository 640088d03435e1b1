/** How something ends: one of both is called, once. @typeParam C of several that end: which one. */
export interface Settlers<T, C = void> {
  readonly resolve: (value: T, of: C) => void;
  readonly reject: (error: unknown, of: C) => void;
}

/** A promise of how it ends. */
export const promised = <T>(send: (ends: Settlers<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => send({ resolve, reject }));

/** `next`, where an exception of it is an end. */
export function guarded<T>(next: (value: T) => void, { reject }: Pick<Settlers<never>, "reject">): (value: T) => void {
  return (value) => {
    try {
      next(value);
    } catch (error) {
      reject(error);
    }
  };
}
