/**
 * Other people's code that pages speak of without showing it: a block may use these names undeclared.
 * Blocks tagged `run` cannot, because nothing stands behind them.
 */
interface User {
  readonly id: number;
  readonly name: string;
  readonly orgId: string;
}

interface Product {
  readonly sku: string;
  readonly cents: number;
}

declare const db: {
  findUser(id: number, options?: { readonly signal?: AbortSignal }): Promise<User | undefined>;
  getUser(id: number, options?: { readonly signal?: AbortSignal }): Promise<User>;
  findUsers(ids: readonly number[]): Promise<User[]>;
  saveUser(user: User): Promise<void>;
  findProduct(sku: string): Promise<Product | undefined>;
};

/** A cache as the first example of the README builds it, for pages that are about something else. */
declare const cache: import("hotset").Cache;

declare const id: number;
declare const log: { warn(fields: object, text: string): void; error(fields: object, text: string): void };
declare const metrics: {
  count(name: string, labels: Readonly<Record<string, string>>): void;
  gauge(name: string, value: number): void;
};
