// A backend of one's own: four methods over a folder of files, whose entries outlive the process.
// docs/guide/writing-a-backend.md has the whole contract, and the suite that checks it.

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, readFile, rename, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BackendUnavailableError, createCache, gzip, memory, packEntry, unpackEntry, v8, type Backend, type Cache } from "hotset";

function files(folder: string): Backend {
  const pathOf = (key: string): string => join(folder, createHash("sha256").update(key).digest("hex"));
  const orAbsent = (operation: string) => (cause: NodeJS.ErrnoException): undefined => {
    if (cause.code === "ENOENT") return undefined;
    throw new BackendUnavailableError(`files: ${operation} failed; check the folder`, { tier: "files", operation, cause });
  };
  return {
    label: "files",
    format: v8(),
    compressor: gzip(),
    coherence: "sole-writer", // no other process writes there, so that memory may trust its copies
    read: async (key) => {
      const bytes = await readFile(pathOf(key)).catch(orAbsent("read"));
      return bytes && unpackEntry(bytes, Date.now());
    },
    write: async (key, entry) => {
      const packed = packEntry(entry, Date.now());
      const temporary = `${pathOf(key)}.${randomUUID()}`;
      await writeFile(temporary, packed).catch(orAbsent("write"));
      await rename(temporary, pathOf(key)).catch(orAbsent("write")); // whole, or not at all
    },
    remove: async (key) => ((await unlink(pathOf(key)).then(() => true, orAbsent("remove"))) ? "deleted" : "missing"),
    close: async () => {},
  };
}

const folder = await mkdtemp(join(tmpdir(), "hotset-files-"));
const openCache = (): Cache => createCache({ name: "build" }).tier(memory()).tier(files(folder)).defaults({ ttl: "1h" }).build();

const first = openCache();
await first.getOrSet("report", () => new Map([["bytes", 42n]]));
await first.close();

// The next process.
const second = openCache();
const report = await second.getOrSet("report", (): Map<string, bigint> => assert.fail("loaded again"), {
  onServed: ({ status, tier }) => console.log(status, tier),
});
assert.equal(report.get("bytes"), 42n);
await second.close();

await rm(folder, { recursive: true });
