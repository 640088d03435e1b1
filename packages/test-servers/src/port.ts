import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchdog } from "./watchdog.ts";

/**
 * Ports of 127.0.0.1 that can be bound now. They are below the range of outgoing connections, and reserved until this
 * process ends, so that a restarted server gets its port again; and below 55536, so that `port + 10000` is a port, too.
 *
 * Another program may take them before the caller does: then try again.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries += 1) {
    if (tries > 1_000 + count) throw new Error(`no free port found; is ${tmpdir()} full of hotset-port-*?`);
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if ((await reserve(port)) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

/** One of `freePorts`. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  if (port === undefined) throw new Error("no free port found");
  return port;
}

const LOWEST = 11_000;
const HIGHEST = 32_000;

/** Reserves the port by a folder, also while its server is down. `false` where another test has it. */
async function reserve(port: number): Promise<boolean> {
  const folder = join(tmpdir(), `hotset-port-${port}`);
  try {
    await mkdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
  watchdog.sweep(folder);
  return true;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
