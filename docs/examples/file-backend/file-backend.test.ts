import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { devNull, tmpdir } from "node:os";
import { join } from "node:path";
import { createCache } from "hotset";
import { describeBackend } from "hotset/contract-suites";
import { afterAll, expect, it } from "vitest";
import { fileBackend } from "./file-backend.ts";

const folders: string[] = [];
const newFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "hotset-files-"));
  folders.push(folder);
  return folder;
};

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

describeBackend("files", {
  open: async (clock) => fileBackend({ folder: await newFolder(), nowMs: () => clock.now() }),
  promises: ["tags hold"],
  expiry: "clock",
  unreachable: () => fileBackend({ folder: join(devNull, "nowhere") }),
});

it("gives a cache the entries that an earlier one has stored", async () => {
  const folder = await newFolder();
  const open = () => createCache({ name: "shop" }).tier(fileBackend({ folder })).build();
  {
    await using first = open();
    await first.set("user:1", { name: "Ada" }, { tags: ["users"] });
  }
  await using second = open();
  expect(await second.get("user:1")).toEqual({ name: "Ada" });
  await second.invalidateTags("users");
  expect(await second.get("user:1")).toBe(undefined);
});

it("takes a truncated file for a missing entry, and replaces it", async () => {
  const folder = await newFolder();
  const backend = fileBackend({ folder });
  await using cache = createCache({ name: "shop" }).tier(backend).build();
  await cache.set("user:1", "Ada");
  for (const name of await readdir(folder)) await writeFile(join(folder, name), "HS");

  expect(await cache.getOrSet("user:1", () => "Bob")).toBe("Bob");
  await using other = createCache({ name: "shop" }).tier(fileBackend({ folder })).build();
  expect(await other.get("user:1")).toBe("Bob");
});
