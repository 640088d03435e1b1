export { transactions, type CacheTransactions } from "./transactions.ts";
export type { Changes, ChangesOf } from "./changes.ts";
export type { TransactionOf } from "./databases.ts";
export type { TransactionOptions, TransactionsOptions } from "./options.ts";
