import { execFile, type ExecFileException } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export const latest = (names: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(names.map((name) => [name, "latest"]));

/** An empty project outside the repository, as a newcomer has it. */
export class Project {
  readonly folder: string;
  readonly #registry: string;

  constructor(name: string, registry: string, manifest: object = {}) {
    this.folder = mkdtempSync(join(tmpdir(), `hotset-newcomer-${name}-`));
    this.#registry = registry;
    this.write("package.json", JSON.stringify({ name, version: "1.0.0", private: true, ...manifest }));
    this.write(".npmrc", `registry=${registry}\nfund=false\naudit=false\nupdate-notifier=false\n`);
  }

  write(file: string, text: string): void {
    mkdirSync(dirname(join(this.folder, file)), { recursive: true });
    writeFileSync(join(this.folder, file), text);
  }

  /** Runs a program in the project. @throws {Error} with all that it printed, if it fails. */
  run(command: string, parameters: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Output> {
    const isInherited = (name: string): boolean => !/^(?:npm_|NODE_)/i.test(name) || name === "NODE_EXTRA_CA_CERTS";
    const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => isInherited(name)));
    return new Promise((resolve, reject) => {
      execFile(
        command,
        parameters,
        {
          cwd: this.folder,
          env: { ...clean, npm_config_registry: this.#registry, ...environment },
          timeout: 240_000,
          maxBuffer: 2 ** 26,
        },
        (error: ExecFileException | null, stdout, stderr) => {
          if (error === null) resolve({ stdout, stderr });
          else reject(new Error(`${command} ${parameters.join(" ")}: ${error.message}\n${stdout}${stderr}`));
        },
      );
    });
  }

  /** Installed packages, and what they take on the disk. */
  installed(): { readonly packages: number; readonly megabytes: number } {
    const files = globSync("node_modules/**/*", { cwd: this.folder }).map((file) => join(this.folder, file));
    const bytes = files.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
    const packages = globSync("node_modules/{@*/,}*/package.json", { cwd: this.folder });
    const nested = globSync("node_modules/**/node_modules/{@*/,}*/package.json", { cwd: this.folder });
    return { packages: packages.length + nested.length, megabytes: bytes / 1e6 };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}
