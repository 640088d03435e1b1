import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

/** The service's answer about one installed package. */
export interface PackageFacts {
  readonly name: string;
  readonly version: string;
  readonly license: string | null;
  /** Number of runtime dependencies. */
  readonly dependencies: number;
  readonly files: number;
  readonly bytes: number;
  /** The size of the files when compressed for a network. */
  readonly gzipBytes: number;
  readonly largest: { readonly path: string; readonly bytes: number };
  /** SHA-256 over the paths and digests of all files: equal exactly if all files are equal. */
  readonly sha256: string;
}

/**
 * The expensive call: walks the folder of one package, reads, hashes and compresses every file in it, and reads its
 * manifest. From a few to some hundred milliseconds, in proportion to files and bytes.
 *
 * @throws the reason of `signal` when it is aborted, between two files.
 * @throws {Error} of `node:fs` if the package or its manifest is missing.
 */
export async function readPackageFacts(folder: string, signal?: AbortSignal): Promise<PackageFacts> {
  const digest = createHash("sha256");
  let bytes = 0;
  let gzipBytes = 0;
  let largest = { path: "", bytes: -1 };
  let manifest: Manifest | undefined;
  const paths = await filesOf(folder);
  for (const path of paths) {
    signal?.throwIfAborted();
    const content = await readFile(join(folder, path));
    digest.update(`${path}\0`).update(createHash("sha256").update(content).digest());
    bytes += content.byteLength;
    gzipBytes += (await compress(content)).byteLength;
    if (content.byteLength > largest.bytes) largest = { path, bytes: content.byteLength };
    // From the same bytes that were hashed: the file may change before it is read again.
    if (path === "package.json") manifest = JSON.parse(content.toString("utf8")) as Manifest;
  }
  if (manifest === undefined) throw new Error(`${folder} has no package.json`);
  return {
    name: manifest.name,
    version: manifest.version,
    license: manifest.license ?? null,
    dependencies: Object.keys(manifest.dependencies ?? {}).length,
    files: paths.length,
    bytes,
    gzipBytes,
    largest,
    sha256: digest.digest("hex"),
  };
}

/** Paths of the regular files below `folder`, relative to it and with `/`, in order. */
export async function filesOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((file) => relative(folder, join(file.parentPath, file.name)).replaceAll("\\", "/")).sort();
}

const compress = promisify(gzip);

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}
