// A custom backend: file-backend/ keeps entries in a folder, so that they outlive the process.
// docs/guide/writing-a-backend.md explains it; file-backend/file-backend.test.ts runs the contract suite over it.

import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCache, gzip, memory, v8, type Cache } from "hotset";
import { fileBackend } from "./file-backend/file-backend.ts";

const folder = await mkdtemp(join(tmpdir(), "hotset-files-"));

function openCache(): Cache {
  const files = fileBackend({ folder, format: v8(), compressor: gzip(), isOnlyWriter: true });
  return createCache({ name: "build" }).tier(memory()).tier(files).defaults({ ttl: "1h" }).build();
}

const first = openCache();
await first.getOrSet("report", () => new Map([["bytes", 42n]]));
assert.equal((await first.inspect("report"))?.tier, "memory");
await first.close();
assert.ok((await readdir(folder)).length > 0);

// The next process: its memory is empty, the folder is not.
const second = openCache();
const report = await second.getOrSet("report", (): Map<string, bigint> => assert.fail("loaded again"), {
  onServed: ({ status, tier }) => console.log(status, tier),
});
assert.equal(report.get("bytes"), 42n); // v8 keeps maps and big integers
await second.close();

await rm(folder, { recursive: true });
