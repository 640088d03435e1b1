// Starts the programs as their users start them, and sends requests. For the tests beside it.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { request, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { ofWorkspace, until } from "@hotset/test-servers";

const run = promisify(execFile);
const here = import.meta.dirname;
const bin = join(here, "node_modules", ".bin");

export interface Program {
  /** Compiles it, where its users compile it. */
  readonly prepare?: () => Promise<unknown>;
  readonly command: (port: number) => readonly [string, ...string[]];
  /** As the framework itself ends after SIGTERM. */
  readonly exitCode: number;
}

const node = (file: string): Program => ({
  command: () => [process.execPath, ...ofWorkspace(), join(here, file)],
  exitCode: 0,
});

export const PROGRAMS: Readonly<Record<string, Program>> = {
  express: node("express/main.ts"),
  fastify: node("fastify/main.ts"),
  hono: node("hono/main.ts"),
  nest: {
    prepare: () => run(join(here, "../../../node_modules/.bin/tsc"), ["-p", join(here, "nest")]),
    command: () => [process.execPath, ...ofWorkspace(), join(here, "node_modules/.cache/nest/nest/main.js")],
    exitCode: 143,
  },
  next: {
    prepare: () => run(process.execPath, [join(bin, "../next/dist/bin/next"), "build", join(here, "next")]),
    command: (port) => [
      process.execPath,
      join(bin, "../next/dist/bin/next"),
      "start",
      join(here, "next"),
      "-p",
      `${port}`,
    ],
    exitCode: 143,
  },
};

export interface Service extends AsyncDisposable {
  kill(signal: NodeJS.Signals): void;
  /** Its exit code, with the number of the signal that ended it as shells give it. */
  readonly ended: Promise<number>;
}

export async function start(program: Program, port: number, redisUrl: string): Promise<Service> {
  const [executable, ...parameters] = program.command(port);
  const child: ChildProcess = spawn(executable, parameters, {
    env: { ...process.env, PORT: `${port}`, REDIS_URL: redisUrl, NEXT_TELEMETRY_DISABLED: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "exit").then(
    ([code, signal]) => (code as number | null) ?? (signal === "SIGTERM" ? 143 : 137),
  );
  const errors = child.stderr === null ? Promise.resolve("") : text(child.stderr);
  child.stdout?.resume();
  const isUp = until("an answer", async () => (await send(port, "GET", "/products/p2")).status === 200);
  await Promise.race([
    isUp,
    ended.then(async (code) => {
      throw new Error(`It ended with ${code}: ${await errors}`);
    }),
  ]);
  return {
    kill: (signal) => void child.kill(signal),
    ended,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Sent {
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
}

/** One request on a connection of its own. */
export function send(port: number, method: string, path: string, { headers = {}, json }: Sent = {}): Promise<Answer> {
  const sent = request({ host: "127.0.0.1", port, method, path, agent: false, headers });
  if (json !== undefined) sent.setHeader("content-type", "application/json");
  sent.end(json === undefined ? undefined : JSON.stringify(json));
  return answerTo(sent);
}

/** A request that the service has accepted: it said "100 Continue", and the source takes 50 ms. */
export async function arrived(port: number, path: string): Promise<{ readonly answer: Promise<Answer> }> {
  const headers = { expect: "100-continue" };
  const sent = request({ host: "127.0.0.1", port, path, headers, agent: false });
  const answer = answerTo(sent);
  await once(sent, "continue");
  sent.end();
  return { answer };
}

async function answerTo(sent: ClientRequest): Promise<Answer> {
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
}
