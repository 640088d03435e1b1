/** How something ends: one of both is called, once. */
export interface Settlers<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
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
