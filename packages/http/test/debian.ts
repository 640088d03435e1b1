import { execFile, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Packages of Debian, downloaded and unpacked into one folder, once. Needs no root, and installs nothing. */
export async function unpackedPackages(name: string, packages: readonly string[]): Promise<string> {
  const folder = join(tmpdir(), "hotset-test-servers", name);
  const isThere = await access(folder).then(
    () => true,
    () => false,
  );
  if (isThere) return folder;
  await mkdir(join(folder, ".."), { recursive: true });
  const work = await mkdtemp(`${folder}-`);
  await run("apt-get", ["download", ...packages], { cwd: work, timeout: 180_000 });
  const files = (await readdir(work)).filter((each) => each.endsWith(".deb"));
  for (const file of files) await run("dpkg", ["-x", join(work, file), join(work, "root")]);
  await rename(join(work, "root"), folder).catch(() => undefined);
  await rm(work, { recursive: true, force: true });
  return folder;
}

/** Ends a server of a test, and then removes its folder. Made before it may end. */
export function endOf(child: ChildProcess, folder: string): () => Promise<void> {
  const ended = once(child, "exit");
  return async () => {
    child.kill();
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
}
