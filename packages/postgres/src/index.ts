export { postgres } from "./postgres.ts";
export { type PostgresOptions } from "./options.ts";
export { type PostgresPool } from "./pool.ts";
export { schema, type SchemaOptions } from "./schema.ts";
