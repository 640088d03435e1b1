/** @returns what was done, in figures, for a line of output. Throws for a promise that was broken. */
export type Hunt = (settings: { readonly minutes: number; readonly seed: number }) => Promise<string>;
