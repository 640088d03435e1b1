import { createServer } from "node:net";

/**
 * Ports that can be bound now, on 127.0.0.1. They lie below the range that the system gives to
 * outgoing connections, so that a server which is down for a moment gets its own back, and below
 * 55536, so that `port + 10000` is one too.
 *
 * Another process may take them before the caller does: try again then.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

/** One of `freePorts`. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  if (port === undefined) throw new Error("There is no free port");
  return port;
}

const LOWEST = 11_000;
const HIGHEST = 32_000;

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
