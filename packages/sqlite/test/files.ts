import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

let folder: string | undefined;
let count = 0;

/** The path of a file that is not there yet, in a folder that is removed after the tests of this file. */
export function newFile(): string {
  if (folder === undefined) {
    // In memory where there is such a folder: a new file waits for the disk several times.
    folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "hotset-sqlite-"));
  }
  return join(folder, `${(count += 1)}.db`);
}

afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});
