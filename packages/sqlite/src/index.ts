export { sqlite } from "./sqlite.ts";
export type { SqliteOptions } from "./options.ts";
export type { SqliteDatabase, SqliteStatement, SqliteValue } from "./driver.ts";
