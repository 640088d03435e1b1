/** Thenables count: query builders are awaited. */
export type Awaitable<T> = T | PromiseLike<T>;
