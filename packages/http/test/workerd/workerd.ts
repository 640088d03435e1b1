/** Programs in workerd itself, the runtime of Cloudflare Workers. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { temporaryDirectory } from "@hotset/test-servers";
import { rolldown } from "rolldown";

const run = promisify(execFile);

export const WORKERD_VERSION = "1.20261117.1";

/** A date of compatibility, and flags. */
export interface Compatibility {
  readonly date: string;
  readonly flags: readonly string[];
}

/** One process of workerd, with one worker of its own for each compatibility. */
export interface Workerd extends Disposable {
  /** Where each of them listens, in their order. */
  readonly urls: readonly string[];
  /** Their output. */
  printed(): string;
}

/** A bundle as for a worker, in one file. @param unused packages that are imported on first use, which never comes */
export async function bundleForWorker(source: string, folder: string, unused: readonly string[] = []): Promise<string> {
  await using bundle = await rolldown({
    input: "program",
    cwd: folder,
    platform: "browser",
    external: [/^(?:node|cloudflare):/, ...unused],
    resolve: { conditionNames: ["@hotset/source", "import", "default"] },
    onLog: (_, { message }) => {
      throw new Error(message);
    },
    plugins: [
      {
        name: "program",
        resolveId: (id) => (id === "program" ? join(folder, "program.mjs") : undefined),
        load: (id) => (id.endsWith("program.mjs") ? source : undefined),
      },
    ],
  });
  const { output } = await bundle.generate({ format: "esm", minify: true, codeSplitting: false });
  return output[0].code;
}

/** @throws {Error} with what it printed, if it does not start. */
export async function startWorkerd(code: string, compatibilities: readonly Compatibility[]): Promise<Workerd> {
  const folder = await temporaryDirectory("workerd");
  await writeFile(join(folder, "worker.js"), code);
  await writeFile(join(folder, "config.capnp"), configOf(compatibilities));
  const child = spawn(await program(), ["serve", join(folder, "config.capnp"), "--control-fd=3"], {
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  process.once("exit", () => child.kill("SIGKILL"));
  let printed = "";
  for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (part) => (printed += String(part)));
  const urls = new Map<string, string>();
  const ended = once(child, "exit").then(() => {
    throw new Error(`workerd has ended: ${printed}`);
  });
  ended.catch(() => undefined);
  const lines = createInterface(child.stdio[3] as NodeJS.ReadableStream)[Symbol.asyncIterator]();
  while (urls.size < compatibilities.length) {
    const line = await Promise.race([lines.next(), ended]);
    if (line.done === true) return ended;
    const { event, socket, port } = JSON.parse(String(line.value)) as Record<string, unknown>;
    if (event === "listen") urls.set(String(socket), `http://127.0.0.1:${String(port)}`);
  }
  return {
    urls: compatibilities.map((_, i) => urls.get(`s${i}`)!),
    printed: () => printed,
    [Symbol.dispose]: () => void child.kill("SIGKILL"),
  };
}

function configOf(compatibilities: readonly Compatibility[]): string {
  const each = (line: (i: number, of: Compatibility) => string, between: string): string =>
    compatibilities.map((of, i) => line(i, of)).join(between);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ ( name = "internet", network = ( allow = ["public", "private"] ) ), ${each((i) => `( name = "w${i}", worker = .worker${i} )`, ", ")} ],
  sockets = [ ${each((i) => `( name = "s${i}", address = "127.0.0.1:0", http = (), service = "w${i}" )`, ", ")} ],
);
${each(
  (i, { date, flags }) =>
    `const worker${i} :Workerd.Worker = ( modules = [ (name = "worker.js", esModule = embed "worker.js") ],
  compatibilityDate = "${date}", compatibilityFlags = ${JSON.stringify(flags)} );`,
  "\n",
)}
`;
}

/** That of `WORKERD`, else it is fetched from npm (46 MB), once. */
async function program(): Promise<string> {
  const given = process.env["WORKERD"];
  if (given !== undefined && given !== "") return given;
  const folder = join(tmpdir(), "hotset-test-servers", `workerd-${WORKERD_VERSION}`);
  const found = join(folder, "bin", `workerd${process.platform === "win32" ? ".exe" : ""}`);
  if (
    await access(found).then(
      () => true,
      () => false,
    )
  )
    return found;
  await mkdir(dirname(folder), { recursive: true });
  const work = await mkdtemp(`${folder}-`);
  try {
    const platform = process.platform === "win32" ? "windows" : process.platform;
    const spec = `@cloudflare/workerd-${platform}-${process.arch === "x64" ? "64" : process.arch}@${WORKERD_VERSION}`;
    const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", work, spec], { timeout: 180_000 });
    await run("tar", ["-xzf", join(work, stdout.trim()), "-C", work, "--strip-components=1"]);
    // The second process in a race finds the folder present, and uses the files of the first.
    await rename(work, folder).catch(() => undefined);
  } catch (error) {
    throw new Error(`npm could not fetch workerd; set WORKERD to the program: ${String(error)}`, { cause: error });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return found;
}
