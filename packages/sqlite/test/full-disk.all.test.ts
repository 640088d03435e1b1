import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Coherence, CoherenceListener, StoredEntry } from "@hotset/core";
import { sqlite } from "@hotset/sqlite";
import { expect, it, onTestFinished } from "vitest";

const stored = (bytes = 20_000): StoredEntry => ({
  data: new Uint8Array(bytes).fill(1),
  staleInMs: 60_000,
  expiresInMs: 60_000,
  meta: "json none",
});

function asRoot(...words: readonly string[]): void {
  const [program, ...rest] = process.getuid?.() === 0 ? words : ["sudo", "-n", ...words];
  execFileSync(program!, rest);
}

/** A folder that is a file system of 8 MB: mounted by root, or by `sudo` where it asks for no password. */
function smallDisk(): string {
  const folder = mkdtempSync(join(tmpdir(), "hotset-disk-"));
  asRoot("mount", "-t", "tmpfs", "-o", "size=8m,mode=777", "tmpfs", folder);
  onTestFinished(() => {
    asRoot("umount", folder);
    rmSync(folder, { recursive: true });
  });
  return folder;
}

function opened(file: string): ReturnType<typeof sqlite> {
  const backend = sqlite(file);
  onTestFinished(() => backend.close());
  return backend;
}

/** Leaves no byte. */
function fill(folder: string): string {
  const filler = join(folder, "filler");
  expect(() => writeFileSync(filler, new Uint8Array(2 ** 23))).toThrow("ENOSPC");
  expect(statfsSync(folder).bavail).toBe(0);
  return filler;
}

it("a cache that fills its disk goes on: old entries give their space, and deletes hold", async () => {
  const file = join(smallDisk(), "cache.db");
  const [backend, peer] = [opened(file), opened(file)];
  for (let i = 0; i < 2_000; i += 1) await backend.write(`k${i}`, stored());
  expect(await peer.read("k0")).toBe(undefined);
  expect((await peer.read("k1999"))?.data.length).toBe(20_000);
  expect(await peer.remove("k1999")).toBe("deleted");
  expect(await backend.read("k1999")).toBe(undefined);
  expect(statSync(file).size).toBeGreaterThan(2 ** 20);
});

it("a disk that others have filled ends no write for good: a new file begins, without what was deleted", async () => {
  const folder = smallDisk();
  const file = join(folder, "cache.db");
  const [backend, peer] = [opened(file), opened(file)];
  for (let i = 0; i < 20; i += 1) await backend.write(`k${i}`, stored());
  expect(await peer.read("k0")).toBeDefined();
  const { coherence } = peer;
  const lost: unknown[] = [];
  const ignore = (): void => undefined;
  const listener: CoherenceListener = {
    now: () => performance.now(),
    changed: ignore,
    leaseChanged: ignore,
    tagsChanged: ignore,
    everythingChanged: ignore,
    alive: ignore,
    replaced: ignore,
    lost: (error) => lost.push(error),
  };
  await (coherence as Coherence).attach(listener);
  const filler = fill(folder);
  // The space of the old file is free once its other readers have noticed.
  const removed = (key: string): Promise<boolean> => backend.remove(key).then(Boolean, () => false);
  for (let i = 0; i < 20; i += 1)
    while (!(await removed(`k${i}`))) await new Promise((resolve) => void setTimeout(resolve, 20));
  expect(lost.length).toBe(1);
  for (let i = 0; i < 20; i += 1) expect(await peer.leases!.confirm(`k${i}`)).toBe("");
  await peer.write("small", stored(10));
  expect(await backend.leases!.confirm("small")).toBe("-");
  rmSync(filler);
  for (let i = 0; i < 500; i += 1) await peer.write(`k${i}`, stored());
  expect(await backend.read("k499")).toBeDefined();
});

it("a folder that cannot be written serves reads, and says why it takes no writes", async () => {
  const folder = smallDisk();
  const file = join(folder, "cache.db");
  const writer = sqlite(file);
  await writer.write("k", stored());
  await writer.close();
  asRoot("mount", "-o", "remount,ro", folder);
  const backend = opened(file);
  expect((await backend.read("k"))?.data.length).toBe(20_000);
  await expect(backend.write("k", stored())).rejects.toThrow("the file cannot be written; check its permissions");
  expect(await backend.read("k")).toBeDefined();
  asRoot("mount", "-o", "remount,rw", folder);
  await opened(file).remove("k");
  await new Promise((resolve) => void setTimeout(resolve, 30));
  expect(await backend.read("k")).toBe(undefined);
  await backend.write("k", stored());
});
