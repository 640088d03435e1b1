import { devNull } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqlite, type SqliteDatabase } from "@hotset/sqlite";
import { describeBackend } from "@hotset/testing/contract-suites";
import { newFile } from "./files.ts";

let file: string;
/** The next question for changes fails. */
let isCut = false;

const cuttable = (name: string): SqliteDatabase => {
  const database = new DatabaseSync(name) as SqliteDatabase;
  return {
    exec: (sql) => database.exec(sql),
    close: () => database.close(),
    prepare(sql) {
      const statement = database.prepare(sql);
      if (sql !== "PRAGMA data_version") return statement;
      return {
        all: (...values) => statement.all(...values),
        run: (...values) => statement.run(...values),
        get(...values) {
          if (isCut) throw new Error(`cut: ${(isCut = false)}`);
          return statement.get(...values);
        },
      };
    },
  };
};

const count = (): number => {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return (database.prepare("SELECT count(*) AS n FROM entries").get() as { readonly n: number }).n;
  } finally {
    database.close();
  }
};

describeBackend("sqlite", {
  open: (clock) => sqlite((file = newFile()), { clock, open: cuttable }),
  openPeer: (_, clock) => sqlite(file, { clock }),
  promises: ["one load", "deletes hold", "tags hold", "copies follow"],
  cut: () => void (isCut = true),
  expiry: "clock",
  unreachable: () => sqlite(join(devNull, "nowhere.db")),
  count,
});
