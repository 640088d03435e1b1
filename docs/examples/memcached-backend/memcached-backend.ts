// A backend over memcached 1.6.18 or later, with leases and tag versions: its meta commands compare and set one record.
// docs/guide/bring-your-store.md explains it. memcached forgets everything when it stops, and what it needs room for.

import { type Backend, BackendUnavailableError, ConfigurationError } from "hotset";
import { fromSwap, type FromSwapOptions, type SwapStore } from "hotset/backend";
import { Connection } from "./connection.ts";

export interface MemcachedBackendOptions extends Partial<FromSwapOptions> {
  /** @default "localhost" */
  readonly host?: string;
  /** @default 11_211 */
  readonly port?: number;
}

export function memcachedBackend(options: MemcachedBackendOptions = {}): Backend {
  const { host = "localhost", port = 11_211, label = "memcached", ...rest } = options;
  // Its records have 1 MiB, with their names and its own bytes.
  return fromSwap(memcachedStore(host, port, label), { maxRecordBytes: 1_000_000, ...rest, label });
}

/** A number of memcached's counter. It begins again with a new server, so it counts on its connection alone. */
export interface Version {
  readonly cas: string;
  readonly connection: Connection;
}

export function memcachedStore(host: string, port: number, label: string): SwapStore<Version> {
  let connection: Connection | undefined;
  let isClosed = false;

  async function send(operation: string, to: Connection, line: string, bytes?: Uint8Array) {
    const reply = await to.send(line, bytes).catch((cause: unknown) => {
      const message = `${label}: ${operation} was not answered; is memcached up?`;
      throw new BackendUnavailableError(message, { tier: label, operation, cause });
    });
    if (!/^(?:VA|HD|EN|NS|EX|NF)\b/.test(reply.line)) {
      // The bytes that were sent with it may be read as further commands.
      to.close();
      throw new Error(`${label}: ${operation}: ${reply.line}`);
    }
    const code = reply.line.slice(0, 2);
    const cas = /\bc(\d+)/.exec(reply.line)?.[1] ?? "";
    // It is in refusals too.
    if (cas === "0" && (code === "VA" || code === "HD")) {
      const message = `${label}: memcached was started with -C, and counts no versions: start it without`;
      throw new ConfigurationError(message, { tier: label, operation });
    }
    return { ...reply, code, cas };
  }

  function current(): Connection {
    if (isClosed) throw new BackendUnavailableError(`${label}: the backend was closed`, { tier: label });
    if (connection?.isOpen !== true) connection = new Connection(host, port);
    return connection;
  }

  return {
    async get(name) {
      const from = current();
      const { code, cas, bytes } = await send("get", from, `mg ${name} v c`);
      return code === "VA" ? { bytes, version: { cas, connection: from } } : undefined;
    },

    async swap(name, bytes, expected, ttlMs) {
      const to = current();
      // A step that began over a server that may be gone is decided again.
      if (expected !== undefined && expected.connection !== to) return undefined;
      const condition = expected === undefined ? "ME" : `C${expected.cas}`;
      const line = `ms ${name} ${bytes.byteLength} c T${secondsOf(ttlMs)} ${condition}`;
      const { code, cas } = await send("swap", to, line, bytes);
      return code === "HD" ? { cas, connection: to } : undefined;
    },

    async delete(name, { cas, connection: from }) {
      return from === current() && (await send("delete", from, `md ${name} C${cas}`)).code === "HD";
    },

    close() {
      isClosed = true;
      connection?.close();
    },
  };
}

/** Whole seconds, begun ones included; without an end where memcached would read an instant, beyond 30 days. */
const secondsOf = (ttlMs: number): number => {
  const seconds = Math.ceil(ttlMs / 1_000) + 1;
  return seconds > 30 * 86_400 ? 0 : seconds;
};
