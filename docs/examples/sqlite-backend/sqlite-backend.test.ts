import { mkdtemp, rm } from "node:fs/promises";
import { devNull, tmpdir } from "node:os";
import { join } from "node:path";
import { describeBackend } from "@hotset/testing/contract-suites";
import { createTestCache, flush, gate, TestClock } from "@hotset/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sqliteBackend } from "./sqlite-backend.ts";

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
    expiry: "clock",
    unreachable: () => sqliteBackend({ file: join(devNull, "nowhere") }),
  });
});

it("loads once for two processes, and keeps them coherent", async () => {
  const clock = new TestClock();
  const file = newFile();
  await using here = createTestCache({ clock, backend: sqliteBackend({ file, clock }), ttl: "1h" });
  await using there = createTestCache({ clock, backend: sqliteBackend({ file, clock }), ttl: "1h" });
  await Promise.all([here.connect(), there.connect()]);

  const loading = gate<string>();
  const first = here.getOrSet("user:1", () => loading.pass(), { tags: ["users"] });
  await loading.arrived();
  const second = there.getOrSet("user:1", () => "loaded twice", { tags: ["users"] });
  await flush();
  loading.open("Ada");
  expect(await first).toBe("Ada");
  await flush();
  clock.advance(100);
  expect(await second).toBe("Ada");

  await here.invalidateTags("users");
  clock.advance(100);
  await flush();
  expect(await there.get("user:1")).toBe(undefined);
});

it("reports that everything changed when more has changed than the log holds", async () => {
  const clock = new TestClock();
  const file = newFile();
  const backend = sqliteBackend({ file, clock, maxChanges: 5 });
  const other = sqliteBackend({ file, clock, maxChanges: 5 });
  const heard: string[] = [];
  const { coherence } = backend;
  await (coherence as Exclude<typeof coherence, "sole-writer" | undefined>).attach({
    now: () => clock.now(),
    alive: () => undefined,
    lost: () => undefined,
    replaced: () => undefined,
    changed: (keys) => heard.push(...keys),
    leaseChanged: () => undefined,
    tagsChanged: () => undefined,
    everythingChanged: () => heard.push("everything"),
  });
  for (const key of ["1", "2", "3", "4", "5"]) await other.remove(key);
  clock.advance(100);
  await flush();
  expect(heard.splice(0)).toEqual(["1", "2", "3", "4", "5"]);
  for (const key of ["1", "2", "3", "4", "5", "6"]) await other.remove(key);
  clock.advance(100);
  await flush();
  expect(heard).toEqual(["everything", "2", "3", "4", "5", "6"]);
  await Promise.all([backend.close(), other.close()]);
});
