import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { serverExecutable, type ServerExecutable } from "./executable.ts";

const PROGRAMS = ["server", "cli", "check-rdb"] as const;

/**
 * Writes `redis-server`, `redis-cli` and `redis-check-rdb` into `folder`, for a PATH: each runs the program of the
 * server that the tests run on, including a Valkey, or one that was unpacked and is on no PATH.
 *
 * @returns `folder`, which is made if it is missing.
 */
export async function redisPrograms(folder: string): Promise<string> {
  const server = await serverExecutable();
  await mkdir(folder, { recursive: true });
  for (const name of PROGRAMS) {
    const words = commandOf(name, server).map((word) => `'${word}'`);
    const path = join(folder, `redis-${name}`);
    await writeFile(path, `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`);
    await chmod(path, 0o755);
  }
  return folder;
}

/** Another program of the package is a file next to the server's, and is named in `argv[0]` as the server is. */
function commandOf(name: (typeof PROGRAMS)[number], { command, args }: ServerExecutable): readonly string[] {
  const words = [command, ...args];
  if (name === "server") return words;
  const file = words.at(-1)!;
  const program = `${/valkey-[^/]*$/.test(file) ? "valkey" : "redis"}-${name}`;
  const named = words.indexOf("--argv0") + 1;
  return words.map((word, at) => {
    if (at === words.length - 1) return join(dirname(file), program);
    return named > 0 && at === named ? program : word;
  });
}
