import { mkdtemp, rm } from "node:fs/promises";
import { devNull, tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describeBackend, describeSwapStore } from "hotset/contract-suites";
import { createTestCache, flush, forkSwapStore, gate, TestClock } from "hotset/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sqliteBackend, sqliteStore } from "./sqlite-backend.ts";

let folder: string;
let opened = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hotset-sqlite-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const newFile = (): string => join(folder, `${(opened += 1)}.db`);

describe("the contract", () => {
  let file: string;
  describeBackend("sqlite", {
    open: (clock) => sqliteBackend({ file: (file = newFile()), clock }),
    openPeer: (_, clock) => sqliteBackend({ file, clock }),
    promises: ["one load", "deletes hold", "tags hold"],
    expiry: "clock",
    unreachable: () => sqliteBackend({ file: join(devNull, "nowhere") }),
    count() {
      const database = new DatabaseSync(file, { readOnly: true });
      const { n } = database.prepare("SELECT count(*) AS n FROM records").get() as { readonly n: number };
      database.close();
      return n;
    },
  });
});

describe("the store", () => {
  let file: string;
  describeSwapStore("sqlite", {
    open: () => sqliteStore((file = newFile()), "store"),
    openPeer: () => sqliteStore(file, "peer"),
    openElsewhere: () =>
      forkSwapStore<number>(new URL("elsewhere.ts", import.meta.url), {
        args: [file],
        execArgv: ["--conditions=@hotset/source"],
      }),
    maxRecordBytes: 1_000_000,
  });
});

it("loads once for two processes, and a tag call of one reaches the other", async () => {
  const clock = new TestClock();
  const file = newFile();
  await using here = createTestCache({ clock, backend: sqliteBackend({ file, clock }), ttl: "1h", localTtl: 100 });
  await using there = createTestCache({ clock, backend: sqliteBackend({ file, clock }), ttl: "1h", localTtl: 100 });

  const loading = gate<string>();
  const first = here.getOrSet("user:1", () => loading.pass(), { tags: ["users"] });
  await loading.arrived();
  const second = there.getOrSet("user:1", () => "loaded twice", { tags: ["users"] });
  await flush();
  loading.open("Ada");
  expect(await first).toBe("Ada");
  await flush();
  clock.advance(1_000);
  expect(await second).toBe("Ada");

  await here.invalidateTags("users");
  clock.advance(100);
  expect(await there.get("user:1")).toBe(undefined);
});
