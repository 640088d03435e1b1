import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { chromium, type Browser } from "playwright-core";

const run = promisify(execFile);

interface Program {
  readonly path: string;
  /** Folders of its libraries, where they were unpacked with it. */
  readonly libraries: readonly string[];
}

/**
 * A headless Chromium: that of `CHROMIUM`, one on PATH, or Debian's package, which is unpacked into the user's cache
 * folder without root.
 *
 * @throws {Error} with what to install, if there is neither a program nor apt-get.
 */
export async function startChromium(): Promise<Browser> {
  const { path, libraries } = await program();
  const known = process.env["LD_LIBRARY_PATH"];
  const search = [...libraries, ...(known === undefined ? [] : [known])].join(":");
  return chromium.launch({
    executablePath: path,
    args: ["--no-sandbox"],
    env: { ...(process.env as Record<string, string>), ...(search !== "" && { LD_LIBRARY_PATH: search }) },
  });
}

async function program(): Promise<Program> {
  const given = process.env["CHROMIUM"];
  if (given !== undefined && given !== "") return { path: given, libraries: [] };
  for (const folder of (process.env["PATH"] ?? "").split(delimiter))
    for (const name of ["chromium", "chromium-browser", "google-chrome", "chrome-headless-shell"])
      if (await exists(join(folder, name))) return { path: join(folder, name), libraries: [] };
  const folder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "hotset-test-servers", "chromium");
  if (!(await exists(folder))) await unpack(folder);
  const path = join(folder, "usr/lib/chromium/chromium-headless-shell");
  const files = await readdir(join(folder, "usr/lib"), { recursive: true });
  const libraries = files.filter((file) => /\.so\b/.test(file)).map((file) => join(folder, "usr/lib", file, ".."));
  return { path, libraries: [...new Set(libraries)] };
}

/** Downloads the package, and those of its dependencies that are not installed. */
async function unpack(folder: string): Promise<void> {
  await mkdir(join(folder, ".."), { recursive: true });
  const work = await mkdtemp(`${folder}-`);
  try {
    const { stdout } = await run("apt-get", ["install", "-s", "--no-install-recommends", "chromium-headless-shell"]);
    const names = Array.from(stdout.matchAll(/^Inst (\S+)/gm), ([, name]) => name!);
    await run("apt-get", ["download", ...names], { cwd: work, timeout: 280_000 });
    const unpacked = join(work, "root");
    for (const file of (await readdir(work)).filter((name) => name.endsWith(".deb")))
      await run("dpkg-deb", ["-x", join(work, file), unpacked]);
    // The second process in a race finds the folder present, and uses the files of the first.
    await rename(unpacked, folder).catch(() => undefined);
  } catch (error) {
    throw new Error(
      `there is no Chromium, and apt-get could not fetch it. Install it, or set CHROMIUM to its program: ${String(error)}`,
      { cause: error },
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
