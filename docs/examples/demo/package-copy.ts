import { rmSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { filesOf } from "./package-facts.ts";

const MAX_PACKAGES = 64;
const MAX_BYTES = 40 * 2 ** 20;
const MAX_PACKAGE_BYTES = 3 * 2 ** 20;
const MAX_PACKAGE_FILES = 40;

/**
 * A private copy of some of the packages that this checkout has installed. The demo may change it.
 *
 * Bytes are copied: the installed files are hard links into a store that all checkouts of this machine share, and a
 * write through one link changes all of them.
 */
export class PackageCopy implements AsyncDisposable {
  readonly files: number;
  readonly bytes: number;
  /** The package with the fewest bytes. */
  readonly smallest: string;
  readonly #root: string;
  readonly #folders: ReadonlyMap<string, string>;
  readonly #removeAtExit: () => void;

  /** @param packages the largest first */
  private constructor(root: string, packages: readonly InstalledPackage[]) {
    this.#root = root;
    this.#folders = new Map(packages.map(({ name }) => [name, join(root, name)]));
    this.files = packages.reduce((sum, { files }) => sum + files.length, 0);
    this.bytes = packages.reduce((sum, { bytes }) => sum + bytes, 0);
    this.smallest = packages.at(-1)!.name;
    this.#removeAtExit = () => rmSync(root, { recursive: true, force: true });
    process.once("exit", this.#removeAtExit);
  }

  /**
   * Copies the largest released packages of `store` that are within the bounds above, in some 1 to 3 s. It is removed
   * when it is disposed, or when the process exits.
   *
   * @param store the folder that pnpm installs into: `node_modules/.pnpm`
   */
  static async of(store: string): Promise<PackageCopy> {
    const packages = choose(await installedPackages(store));
    const root = await mkdtemp(join(tmpdir(), "hotset-demo-"));
    const copy = new PackageCopy(root, packages);
    for (const { name, folder, files } of packages) {
      const target = join(root, name);
      for (const directory of new Set(files.map((file) => dirname(join(target, file)))))
        await mkdir(directory, { recursive: true });
      await Promise.all(files.map((file) => copyFile(join(folder, file), join(target, file))));
    }
    return copy;
  }

  /** For the cache, where there is no Redis. Removed with the copy. */
  get cacheFile(): string {
    return join(this.#root, ".cache.db");
  }

  /** In the order of their names. */
  get names(): readonly string[] {
    return [...this.#folders.keys()].sort();
  }

  /** `undefined` for a package that is not among them; no part of `name` gets into a path. */
  folderOf(name: string): string | undefined {
    return this.#folders.get(name);
  }

  async versionOf(name: string): Promise<string> {
    return (await this.#manifest(name)).version;
  }

  /** Gives a package of the copy another version, so that its manifest, and with it its facts, change at once. */
  async setVersion(name: string, version: string): Promise<void> {
    const file = this.#manifestFile(name);
    if ((await stat(file)).nlink !== 1) throw new Error(`${file} must be a copy, and is a hard link: not written`);
    const manifest = await this.#manifest(name);
    // Beside the package, and then renamed: a running load sees either the old manifest or the new one, and no other
    // file.
    const next = join(this.#root, ".package.json");
    await writeFile(next, JSON.stringify({ ...manifest, version }, undefined, 2));
    await rename(next, file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#root, { recursive: true, force: true });
    process.off("exit", this.#removeAtExit);
  }

  async #manifest(name: string): Promise<{ readonly version: string }> {
    return JSON.parse(await readFile(this.#manifestFile(name), "utf8")) as { readonly version: string };
  }

  #manifestFile(name: string): string {
    return join(this.#folders.get(name)!, "package.json");
  }
}

interface InstalledPackage {
  readonly name: string;
  readonly folder: string;
  readonly files: readonly string[];
  readonly bytes: number;
}

/** The packages themselves are folders there; their dependencies are links beside them. */
async function installedPackages(store: string): Promise<readonly InstalledPackage[]> {
  const found: InstalledPackage[] = [];
  for (const entry of await readdir(store)) {
    const parent = join(store, entry, "node_modules");
    for (const name of await packageNames(parent)) {
      const folder = join(parent, name);
      const files = await filesOf(folder);
      if (files.length > MAX_PACKAGE_FILES || !files.includes("package.json") || !(await isRelease(folder))) continue;
      const sizes = await Promise.all(files.map(async (file) => (await stat(join(folder, file))).size));
      found.push({ name, folder, files, bytes: sizes.reduce((sum, size) => sum + size, 0) });
    }
  }
  return found;
}

async function packageNames(parent: string): Promise<readonly string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
  const folders = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith("."));
  const names = await Promise.all(
    folders.map(async ({ name }) => {
      if (!name.startsWith("@")) return [name];
      const scoped = await readdir(join(parent, name), { withFileTypes: true });
      return scoped.filter((entry) => entry.isDirectory()).map((entry) => `${name}/${entry.name}`);
    }),
  );
  return names.flat();
}

async function isRelease(folder: string): Promise<boolean> {
  const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { readonly version?: string };
  return version !== undefined && !version.includes("-");
}

/** The largest first, one of each name, until one of the bounds is reached. */
function choose(installed: readonly InstalledPackage[]): readonly InstalledPackage[] {
  const chosen = new Map<string, InstalledPackage>();
  let bytes = 0;
  for (const each of [...installed].sort((one, other) => other.bytes - one.bytes)) {
    if (chosen.size === MAX_PACKAGES) break;
    if (chosen.has(each.name) || each.bytes > MAX_PACKAGE_BYTES || bytes + each.bytes > MAX_BYTES) continue;
    chosen.set(each.name, each);
    bytes += each.bytes;
  }
  return [...chosen.values()];
}
