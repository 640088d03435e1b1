/** How something ends: one of both is called, once. @typeParam C of several that end: which one. */
export interface Settlers<T, C = void> {
  readonly resolve: (value: T, of: C) => void;
  readonly reject: (error: unknown, of: C) => void;
}
