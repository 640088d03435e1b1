// The packages that are installed in this workspace, as a registry has them: for installs without the network.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, globSync, lstatSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Packed } from "./registry.ts";

/** Every version of a package that pnpm has installed here; packed when it is asked for, once. */
export class InstalledPackages implements Disposable {
  readonly #folders: ReadonlyMap<string, readonly string[]>;
  readonly #packed = new Map<string, readonly Packed[]>();
  readonly #tarballs = mkdtempSync(join(tmpdir(), "hotset-installed-"));

  /** @param top the folder of the workspace. */
  constructor(top: string) {
    const store = join(top, "node_modules/.pnpm");
    const folders = new Map<string, string[]>();
    for (const path of globSync("*/node_modules/{@*/,}*/package.json", { cwd: store })) {
      const [, name = ""] = /^[^/]+\/node_modules\/(.+)\/package\.json$/.exec(path) ?? [];
      const folder = join(store, path, "..");
      // Dependencies of a package are links next to it.
      if (!lstatSync(folder).isSymbolicLink()) folders.set(name, [...(folders.get(name) ?? []), folder]);
    }
    this.#folders = folders;
  }

  of(name: string): readonly Packed[] {
    let packed = this.#packed.get(name);
    if (packed === undefined) {
      const versions = new Map((this.#folders.get(name) ?? []).map((folder) => this.#pack(folder)));
      this.#packed.set(name, (packed = [...versions.values()]));
    }
    return packed;
  }

  [Symbol.dispose](): void {
    rmSync(this.#tarballs, { recursive: true, force: true });
  }

  /** By its version: pnpm installs one version once for each set of its peers. */
  #pack(folder: string): readonly [string, Packed] {
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Packed["manifest"];
    const id = `${manifest.name.replaceAll(/\W/g, "-")}-${manifest.version}`;
    const tarball = join(this.#tarballs, `${id}.tgz`);
    if (!existsSync(tarball)) {
      // Every file of a tarball is below `package`. A copy: npm leaves out hard links, which equal files of pnpm are.
      cpSync(folder, join(this.#tarballs, id, "package"), { recursive: true });
      const from = ["-C", join(this.#tarballs, id), "package"];
      execFileSync("tar", ["-czhf", tarball, "--exclude", "package/node_modules", ...from]);
    }
    return [manifest.version, { manifest, tarball }];
  }
}
