export { postgres } from "./postgres.ts";
export { type PostgresOptions } from "./options.ts";
export type { PostgresClient, PostgresNotice, PostgresPool, PostgresQuery } from "./pool.ts";
export { schema, type SchemaOptions } from "./schema.ts";
