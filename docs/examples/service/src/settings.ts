import { readFile } from "node:fs/promises";
import { ConfigurationError } from "@hotset/core";

/** Paths that answer about this process, not for its users: do not route them from outside. */
export const PATHS = { live: "/live", ready: "/ready", metrics: "/metrics" } as const;

/** How long readiness waits for Redis. Probes must wait longer. */
export const READY_DEADLINE_MS = 1_000;

/** The variables that this service reads besides those of `createRedis()`. `.env.example` lists both. */
export interface Settings {
  /** From 0 to 65,535; 0 takes a free one. @default 3000 */
  readonly port: number;
  /** Where the cache is: a server of its own, since it may evict. @default 'redis://localhost:6379' */
  readonly cacheUrl: string;
  /** Reads the password of the cache at each connection, so that it can be changed. Needs a user in the URL. */
  readonly cachePassword: (() => Promise<string>) | undefined;
  /** The same for the server of the toolkit. @default REDIS_PASSWORD, or none */
  readonly redisPassword: (() => Promise<string>) | undefined;
  /** After SIGTERM: how long requests are served as before, until balancers have noticed. @default 0 */
  readonly drainDelayMs: number;
  /** From SIGTERM to the end at most, the delay included. @default 15,000 */
  readonly drainTimeoutMs: number;
}

type Variables = Readonly<Record<string, string | undefined>>;

/** @throws {ConfigurationError} that names the variable, and what is accepted. */
export function readSettings(env: Variables): Settings {
  const drainDelayMs = wholeNumber(env, "DRAIN_DELAY_MS", 0, 600_000);
  const drainTimeoutMs = wholeNumber(env, "DRAIN_TIMEOUT_MS", 15_000, 600_000);
  if (drainDelayMs >= drainTimeoutMs)
    throw new ConfigurationError(
      `DRAIN_DELAY_MS must be below DRAIN_TIMEOUT_MS, which includes it, got ${drainDelayMs} and ${drainTimeoutMs}`,
    );
  return {
    port: wholeNumber(env, "PORT", 3_000, 65_535),
    cacheUrl: env["CACHE_REDIS_URL"] || "redis://localhost:6379",
    cachePassword: passwordIn(env["CACHE_REDIS_PASSWORD_FILE"]),
    redisPassword: passwordIn(env["REDIS_PASSWORD_FILE"]),
    drainDelayMs,
    drainTimeoutMs,
  };
}

function wholeNumber(env: Variables, name: string, otherwise: number, most: number): number {
  const text = env[name] || String(otherwise);
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (number <= most) return number;
  throw new ConfigurationError(`${name} must be a whole number from 0 to ${most}, got ${JSON.stringify(text)}`);
}

/** Editors end a file with a new line, which belongs to no password. */
const passwordIn = (path: string | undefined): Settings["cachePassword"] =>
  path === undefined || path === "" ? undefined : async () => (await readFile(path, "utf8")).replace(/\r?\n$/, "");
