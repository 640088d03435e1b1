import { randomUUID } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { BackendUnavailableError } from "@hotset/core";
import type { SwapStore } from "@hotset/core/stores";
import { answerForSwapStore } from "@hotset/testing";

/** Compares and sets in two statements: no other client of its process comes in between, others do. */
export function unlockedStore(file: string): SwapStore<string> {
  const database = new DatabaseSync(file, { timeout: 5_000 });
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
  database.exec("CREATE TABLE IF NOT EXISTS records (name TEXT PRIMARY KEY, bytes BLOB, version TEXT)");
  const find = database.prepare("SELECT bytes, version FROM records WHERE name = ?");
  const put = database.prepare("INSERT OR REPLACE INTO records VALUES (?, ?, ?)");
  const remove = database.prepare("DELETE FROM records WHERE name = ?");
  const found = (name: string) => {
    if (!database.isOpen) throw new BackendUnavailableError("the store was closed");
    return find.get(name) as { bytes: Uint8Array; version: string } | undefined;
  };
  return {
    get: async (name) => found(name),
    async swap(name, bytes, expected) {
      if (found(name)?.version !== expected) return undefined;
      const version = randomUUID();
      put.run(name, bytes, version);
      return version;
    },
    async delete(name, expected) {
      return found(name)?.version === expected && remove.run(name).changes === 1;
    },
    close() {
      if (database.isOpen) database.close();
    },
  };
}

if (process.argv[1] === import.meta.filename) answerForSwapStore(unlockedStore(process.argv[2]!));
