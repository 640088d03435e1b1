import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { freePort, ofWorkspace, until } from "@hotset/test-servers";

const source = join(import.meta.dirname, "../src");

/** The service as a process of its own, started as its image starts it, from the sources of this workspace. */
export interface Service extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  kill(signal: NodeJS.Signals): void;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** All that it wrote, once it has ended. */
  readonly output: Promise<string>;
}

type Variables = Readonly<Record<string, string>>;

/** Resolves when `/live` answers. @throws when it ends before that. */
export async function startService(variables: Variables): Promise<Service> {
  const port = await freePort();
  const child = run("main.ts", { PORT: `${port}`, ...variables });
  const url = `http://127.0.0.1:${port}`;
  const isUp = until("an answer", async () => (await statusOf(`${url}/live`)) === 200);
  await Promise.race([
    isUp,
    child.ended.then(async (code) => {
      throw new Error(`It ended with ${code}: ${await child.output}`);
    }),
  ]);
  return Object.assign(child, {
    port,
    url,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.ended;
    },
  });
}

export const untilReady = ({ url }: Service): Promise<boolean> =>
  until("ready", async () => (await statusOf(`${url}/ready`)) === 200);

/** One of its programs. */
export function run(file: string, variables: Variables): Pick<Service, "kill" | "ended" | "output"> {
  const { PATH = "" } = process.env;
  const child = spawn(process.execPath, [...ofWorkspace(), join(source, file)], {
    env: { PATH, ...variables },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "exit").then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals);
  const output = Promise.all([text(child.stdout), text(child.stderr)]).then((texts) => texts.join(""));
  return { kill: (signal) => void child.kill(signal), ended, output };
}

/** 0 where nothing answers. */
export const statusOf = (url: string): Promise<number> =>
  fetch(url, { signal: AbortSignal.timeout(10_000) }).then(
    async (response) => {
      await response.arrayBuffer();
      return response.status;
    },
    () => 0,
  );
