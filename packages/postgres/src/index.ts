export { postgres } from "./postgres.ts";
export { type PostgresOptions } from "./options.ts";
export { type PostgresClient, type PostgresNotice, type PostgresPool, type PostgresQuery } from "./pool.ts";
export { schema, type SchemaOptions } from "./schema.ts";
