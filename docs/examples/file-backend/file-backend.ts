import { createHash, randomUUID } from "node:crypto";
import {
  mkdir,
  readFile,
  rename,
  rm,
  unlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import {
  type Backend,
  BackendUnavailableError,
  DecodeError,
  json,
  passthrough,
} from "hotset";
import {
  defineBackend,
  packEntry,
  unpackEntry,
  type Compressor,
  type Format,
  type StoredEntry,
} from "hotset/backend";

export interface FileBackendOptions {
  /** Made on the first write. */
  readonly folder: string;
  /** @default json() */
  readonly format?: Format;
  /** @default passthrough() */
  readonly compressor?: Compressor;
  /**
   * Whether no other process writes to the folder: then `localTtl` need not be
   * given. @default false
   */
  readonly isOnlyWriter?: boolean;
  /** The clock by which entries end, epoch milliseconds. @default Date.now */
  readonly nowMs?: () => number;
}

/**
 * Entries as files, one for each: they outlive the process. Nothing reclaims
 * files whose entries have ended.
 */
export function fileBackend(options: FileBackendOptions): Backend {
  const {
    folder,
    format = json(),
    compressor = passthrough(),
    isOnlyWriter = false,
    nowMs = Date.now,
  } = options;
  const label = "files";
  // Keys may have any length and any characters; names of files may not.
  const pathOf = (key: string): string =>
    join(folder, createHash("sha256").update(key).digest("hex"));
  const unavailable = (
    operation: string,
    cause: unknown,
  ): BackendUnavailableError =>
    new BackendUnavailableError(
      `${label}: ${operation} failed; check that the folder can be written`,
      { tier: label, operation, cause },
    );

  async function read(key: string): Promise<StoredEntry | undefined> {
    try {
      return unpackEntry(await readFile(pathOf(key)), nowMs());
    } catch (error) {
      // Not ours, or cut short: nothing to serve, and the next write replaces
      // it.
      if (isAbsent(error) || error instanceof DecodeError) return undefined;
      throw unavailable("read", error);
    }
  }

  return defineBackend({
    label,
    format,
    compressor,
    ...(isOnlyWriter && { coherence: "sole-writer" as const }),
    read,

    async write(key, entry) {
      // at once: the caller may go on to use its buffer
      const bytes = packEntry(entry, nowMs());
      const temporary = `${pathOf(key)}.${randomUUID()}`;
      try {
        await mkdir(folder, { recursive: true });
        await writeFile(temporary, bytes);
        await rename(temporary, pathOf(key)); // whole, or not at all
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => undefined);
        throw unavailable("write", error);
      }
    },

    async remove(key) {
      // an entry that has ended is missing, although its file is there
      const found = await read(key);
      try {
        // not rm: of ten at the same time it fails none
        await unlink(pathOf(key));
      } catch (error) {
        if (isAbsent(error)) return "missing";
        throw unavailable("remove", error);
      }
      return found === undefined ? "missing" : "deleted";
    },

    async close() {},
  });
}

const isAbsent = (error: unknown): boolean =>
  (error as { readonly code?: string }).code === "ENOENT";
