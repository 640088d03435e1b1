/** How something ends: one of both is called, once. */
export interface Ends<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}
