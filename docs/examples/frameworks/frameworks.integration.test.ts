// Each program is started as its users start it, under load, through a crash of Redis, and stopped by SIGTERM.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { request, type ClientRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort, startOwnRedis, until } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);
const here = import.meta.dirname;
const bin = join(here, "node_modules", ".bin");
const fromSources = "--conditions=@hotset/source";

interface Program {
  /** Compiles it, where its users compile it. */
  readonly prepare?: () => Promise<unknown>;
  readonly command: (port: number) => readonly [string, ...string[]];
  /** As the framework itself ends after SIGTERM. */
  readonly exitCode: number;
}

const node = (file: string): Program => ({
  command: () => [process.execPath, fromSources, join(here, file)],
  exitCode: 0,
});

const PROGRAMS: Readonly<Record<string, Program>> = {
  express: node("express/main.ts"),
  fastify: node("fastify/main.ts"),
  hono: node("hono/main.ts"),
  nest: {
    prepare: () => run(join(here, "../../../node_modules/.bin/tsc"), ["-p", join(here, "nest")]),
    command: () => [process.execPath, fromSources, join(here, "node_modules/.cache/nest/nest/main.js")],
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

describe("frameworks", () => {
  it.each(Object.entries(PROGRAMS))(
    "%s serves without a failed request while Redis is killed and comes back, and stops by SIGTERM",
    { timeout: 180_000 },
    async (_name, program) => {
      await program.prepare?.();
      await using redis = await startOwnRedis();
      const port = await freePort();
      await using service = await start(program, port, redis.url);
      const price = async (sku: string): Promise<unknown> =>
        (JSON.parse((await send(port, "GET", `/products/${sku}`)).body) as { cents: unknown }).cents;

      expect((await send(port, "GET", "/products/none")).status).toBe(404);
      expect(await price("p1")).toBe(100);
      expect((await send(port, "PUT", "/products/p1/price/7")).status).toBe(204);
      expect(await price("p1")).toBe(7);

      const traffic = startTraffic(port);
      await sleep(500);
      await redis.kill();
      await sleep(1_500);
      await redis.start();
      await until("an entry in the new Redis", 30_000, async () => Number(await redis.command("DBSIZE")) > 0);
      expect(await traffic.stop()).toEqual([]);
      expect(traffic.answered()).toBeGreaterThan(100);

      const inFlight = await Promise.all(
        Array.from({ length: 10 }, (_, index) => arrived(port, `/products/p${900 + index}`)),
      );
      service.kill("SIGTERM");
      expect(await Promise.all(inFlight.map(async ({ answer }) => (await answer).status))).toEqual(
        inFlight.map(() => 200),
      );
      expect(await service.ended).toBe(program.exitCode);
    },
  );
});

interface Service extends AsyncDisposable {
  kill(signal: NodeJS.Signals): void;
  /** Its exit code, with the number of the signal that ended it as shells give it. */
  readonly ended: Promise<number>;
}

async function start(program: Program, port: number, redisUrl: string): Promise<Service> {
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
  const isUp = until("an answer", 60_000, async () => (await send(port, "GET", "/products/p2")).status === 200);
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

interface Traffic {
  /** Ends it. @returns what failed */
  stop(): Promise<readonly string[]>;
  answered(): number;
}

/** Eight visitors, each with one request at a time. */
function startTraffic(port: number): Traffic {
  const failures: string[] = [];
  let isStopped = false;
  let answered = 0;
  const visit = async (visitor: number): Promise<void> => {
    for (let visits = 0; !isStopped; visits += 1) {
      const path = `/products/p${((visitor * 7 + visits * 3) % 200) + 1}`;
      try {
        const { status } = await send(port, "GET", path);
        if (status === 200) answered += 1;
        else failures.push(`${path}: ${status}`);
      } catch (error) {
        failures.push(`${path}: ${String(error)}`);
      }
    }
  };
  const visitors = Promise.all(Array.from({ length: 8 }, (_, visitor) => visit(visitor)));
  return {
    answered: () => answered,
    stop: async () => {
      isStopped = true;
      await visitors;
      return failures;
    },
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** One request on a connection of its own. */
function send(port: number, method: string, path: string): Promise<Answer> {
  const sent = request({ host: "127.0.0.1", port, method, path, agent: false });
  sent.end();
  return answerTo(sent);
}

/** A request that the service has accepted: it said "100 Continue", and the source takes 50 ms. */
async function arrived(port: number, path: string): Promise<{ readonly answer: Promise<Answer> }> {
  const headers = { expect: "100-continue" };
  const sent = request({ host: "127.0.0.1", port, path, headers, agent: false });
  const answer = answerTo(sent);
  await once(sent, "continue");
  sent.end();
  return { answer };
}

async function answerTo(sent: ClientRequest): Promise<Answer> {
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, body: await text(response) };
}
