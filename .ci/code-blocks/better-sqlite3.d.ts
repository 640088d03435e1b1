// Its package names no types for import.
declare module "better-sqlite3" {
  import type { SqliteDatabase } from "@hotset/sqlite";

  const Database: new (file: string) => SqliteDatabase;
  export default Database;
}
