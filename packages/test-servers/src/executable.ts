import { execFile } from "node:child_process";
import { access, constants, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { PATIENCE_MS } from "./until.ts";

const run = promisify(execFile);

/** Kinds of server against which the tests can run. */
export const SERVER_TARGETS = ["redis7", "redis8", "valkey8", "valkey9"] as const;
export type ServerTarget = (typeof SERVER_TARGETS)[number];

/** The command line of one server program: `command` with `args`, then the server's own arguments. */
export interface ServerExecutable {
  readonly command: string;
  readonly args: readonly string[];
  /** Version line of the program: `Redis server v=7.0.15 ...`. */
  readonly version: string;
}

/** The kind of server named by `HOTSET_TEST_SERVER`; `undefined`: any available server. */
export function requestedTarget(env: NodeJS.ProcessEnv = process.env): ServerTarget | undefined {
  const name = env["HOTSET_TEST_SERVER"];
  if (name === undefined || name === "") return undefined;
  const target = SERVER_TARGETS.find((known) => known === name);
  if (target === undefined) {
    throw new Error(`HOTSET_TEST_SERVER must be one of ${SERVER_TARGETS.join(", ")}, got "${name}"`);
  }
  return target;
}

/**
 * Finds the server program for `target`: on PATH if it is of that kind, else in the user's cache folder, else it is
 * downloaded from the Debian archive and unpacked there. Needs no root and does not change the machine's packages.
 *
 * @throws {Error} that names the package to install, if this machine has neither the program nor apt-get.
 */
export function serverExecutable(target: ServerTarget | undefined = requestedTarget()): Promise<ServerExecutable> {
  const key = target ?? "any";
  let found = executables.get(key);
  if (found === undefined) {
    found = find(target);
    executables.set(key, found);
    found.catch(() => executables.delete(key));
  }
  return found;
}

const executables = new Map<string, Promise<ServerExecutable>>();

interface TargetSource {
  /** Name of the program and, in Debian, the package that holds it. */
  readonly program: string;
  readonly packageName: string;
  /** Suite of the Debian archive that has this version. */
  readonly suite: string;
  readonly versionPattern: RegExp;
  /** How else to get one: completes "Install ...". */
  readonly remedy: string;
}

const REDIS = "Redis (macOS: brew install redis), or set REDIS_URL to a server, or start a Docker engine";
const VALKEY = "Valkey (macOS: brew install valkey), or set REDIS_URL to a server";

const SOURCES: Readonly<Record<ServerTarget, TargetSource>> = {
  redis7: server("redis", "bookworm", /^Redis server v=7\./, REDIS),
  redis8: server("redis", "trixie", /^Redis server v=8\./, REDIS),
  valkey8: server("valkey", "trixie", /^(Valkey|Server) .*v=8\./, VALKEY),
  valkey9: server("valkey", "forky", /^(Valkey|Server) .*v=9\./, VALKEY),
};

function server(name: string, suite: string, versionPattern: RegExp, remedy: string): TargetSource {
  return { program: `${name}-server`, packageName: `${name}-tools`, suite, versionPattern, remedy };
}

/** A memcached that answers a write with the version of the record; found as the servers of Redis are. */
export function memcachedExecutable(): Promise<ServerExecutable> {
  memcached ??= findProgram(MEMCACHED, [MEMCACHED.program], MEMCACHED.versionPattern).catch((error: unknown) => {
    memcached = undefined;
    throw error;
  });
  return memcached;
}

let memcached: Promise<ServerExecutable> | undefined;

const MEMCACHED: TargetSource = {
  program: "memcached",
  packageName: "memcached",
  suite: "bookworm",
  versionPattern: /^memcached 1\.(?:6\.(?:1[89]|[2-9]\d)|[7-9]\.|\d\d)/,
  remedy: "memcached (macOS: brew install memcached), or set MEMCACHED_URL to a server",
};

function find(target: ServerTarget | undefined): Promise<ServerExecutable> {
  const source = SOURCES[target ?? "redis7"];
  return target === undefined
    ? findProgram(source, ["redis-server", "valkey-server"], /v=([7-9]|\d\d)\./)
    : findProgram(source, [source.program], source.versionPattern);
}

/** @param programs names on PATH, and the versions of them that will do. */
async function findProgram(
  source: TargetSource,
  programs: readonly string[],
  pattern: RegExp,
): Promise<ServerExecutable> {
  for (const program of programs) {
    const path = await onPath(program);
    const version = path === undefined ? undefined : await versionOf(path, []);
    if (path !== undefined && version !== undefined && pattern.test(version))
      return { command: path, args: [], version };
  }
  const directory = join(await cacheDirectory(), `${source.packageName}-${source.suite}`);
  const unpacked = (await unpackedExecutable(directory, source)) ?? (await unpack(directory, source));
  if (!source.versionPattern.test(unpacked.version)) {
    throw new Error(
      `${directory} holds "${unpacked.version}", which is another version; remove that folder and try again`,
    );
  }
  return unpacked;
}

async function onPath(program: string): Promise<string | undefined> {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(directory, program);
    if (directory !== "" && (await allows(path, constants.X_OK))) return path;
  }
  return undefined;
}

async function allows(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}

async function versionOf(command: string, args: readonly string[]): Promise<string | undefined> {
  return run(command, [...args, "--version"], { timeout: PATIENCE_MS }).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
}

/** Kept across checkouts and runs: unpacking takes about 3 s and downloads 13 MB. */
async function cacheDirectory(): Promise<string> {
  const roots = [process.env["XDG_CACHE_HOME"], join(homedir(), ".cache"), tmpdir()];
  for (const root of roots) {
    if (root === undefined || root === "") continue;
    const directory = join(root, "hotset-test-servers");
    const usable = await mkdir(directory, { recursive: true }).then(
      () => allows(directory, constants.W_OK),
      () => false,
    );
    if (usable) return directory;
  }
  throw new Error(`None of these folders can be written: ${roots.join(", ")}`);
}

async function unpackedExecutable(directory: string, source: TargetSource): Promise<ServerExecutable | undefined> {
  const manifest = await readFile(join(directory, "server.json"), "utf8").catch(() => undefined);
  if (manifest === undefined) return undefined;
  const { command, args } = JSON.parse(manifest) as { command: string; args: readonly string[] };
  const placed = (path: string): string => path.replaceAll("$DIR", directory);
  const executable = { command: placed(command), args: args.map(placed) };
  const version = await versionOf(executable.command, executable.args);
  return version !== undefined && source.versionPattern.test(version) ? { ...executable, version } : undefined;
}

/**
 * Downloads with apt-get, with private folders for all its files, so that it needs no root. The program runs with the C
 * library of its own distribution: the machine's may be older.
 */
async function unpack(directory: string, source: TargetSource): Promise<ServerExecutable> {
  if ((await onPath("apt-get")) === undefined || (await onPath("dpkg")) === undefined) {
    throw new Error(
      `${source.program} is not on PATH, and apt-get is missing, which could download it. ` +
        `Install ${source.remedy}.`,
    );
  }
  const work = await mkdtemp(`${directory}-`);
  try {
    const root = join(work, "root");
    for (const file of await download(work, source)) await run("dpkg", ["-x", file, root]);
    const program = await findFile(root, new RegExp(`/usr/bin/${source.program.replace("-server", "-check-rdb")}$`));
    const loader = await findFile(root, /\/ld-linux[^/]*\.so\.\d$/);
    const libraries = [
      ...new Set(
        (await files(root))
          .filter((path) => /\.so[.\d]*$/.test(path))
          .map((path) => path.slice(0, path.lastIndexOf("/"))),
      ),
    ];
    const relative = (path: string): string => path.replaceAll(work, "$DIR");
    // The server and its rdb checker are one program, which behaves according to the name in argv[0].
    const command = {
      command: relative(loader),
      args: ["--library-path", libraries.map(relative).join(":"), "--argv0", source.program, relative(program)],
    };
    await writeFile(join(work, "server.json"), JSON.stringify(command));
    await rm(join(work, "apt"), { recursive: true, force: true });
    // The second process in a race finds the folder present, and uses the files of the first.
    await rename(work, directory).catch(async () => {
      if ((await unpackedExecutable(directory, source)) === undefined) {
        await rm(directory, { recursive: true, force: true });
        await rename(work, directory);
      }
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  const executable = await unpackedExecutable(directory, source);
  if (executable === undefined) throw new Error(`The ${source.program} unpacked into ${directory} does not start`);
  return executable;
}

/** @returns the paths of the .deb files of the package and everything it links. */
async function download(work: string, source: TargetSource): Promise<readonly string[]> {
  const apt = join(work, "apt");
  await mkdir(join(apt, "lists", "partial"), { recursive: true });
  await mkdir(join(apt, "archives", "partial"), { recursive: true });
  const { uri, options: signedBy } = await debianSource();
  await writeFile(join(apt, "sources.list"), `deb ${signedBy}${uri} ${source.suite} main\n`);
  const options = [
    `Dir::Etc::sourcelist=${join(apt, "sources.list")}`,
    "Dir::Etc::sourceparts=/dev/null",
    "Dir::Etc::preferencesparts=/dev/null",
    `Dir::State::lists=${join(apt, "lists")}`,
    `Dir::Cache=${apt}`,
    `Dir::Cache::archives=${join(apt, "archives")}`,
    "Dir::State::status=/dev/null",
    "Debug::NoLocking=1",
    "APT::Install-Recommends=false",
    "APT::Sandbox::User=",
  ].flatMap((option) => ["-o", option]);
  const limits = { timeout: 180_000, maxBuffer: 16 * 1024 * 1024, env: { ...process.env, LC_ALL: "C" } };
  try {
    await run("apt-get", [...options, "update"], limits);
    await run("apt-get", [...options, "-y", "--download-only", "install", source.packageName], limits);
  } catch (error) {
    const detail = (error as { stderr?: string }).stderr?.trim() ?? "";
    throw new Error(`apt-get could not fetch ${source.packageName} of Debian ${source.suite} from ${uri}: ${detail}`);
  }
  return (await files(join(apt, "archives"))).filter((path) =>
    /\/(lib|redis|valkey|memcached|openssl|zlib)[^/]*\.deb$/.test(path),
  );
}

/** The Debian mirror configured on this machine, with its trusted key. */
async function debianSource(): Promise<{ readonly uri: string; readonly options: string }> {
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  const options = (await allows(keyring, constants.R_OK)) ? `[signed-by=${keyring}] ` : "";
  for (const path of [...(await files("/etc/apt/sources.list.d")), "/etc/apt/sources.list"]) {
    const text = /\.(sources|list)$/.test(path) ? await readFile(path, "utf8").catch(() => "") : "";
    const uri = /^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s+)?)(\S+\/debian)\/?(?:\s|$)/m.exec(text)?.[1];
    if (uri !== undefined) return { uri, options };
  }
  return { uri: "http://deb.debian.org/debian", options };
}

async function findFile(root: string, pattern: RegExp): Promise<string> {
  const path = (await files(root)).find((candidate) => pattern.test(candidate));
  if (path === undefined) throw new Error(`Nothing in ${root} matches ${String(pattern)}`);
  return path;
}

async function files(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  const paths: string[] = [];
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    if ((await stat(path).catch(() => undefined))?.isFile() === true) paths.push(path);
  }
  return paths.sort();
}
