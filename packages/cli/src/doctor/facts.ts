import type { Finding as ProcessFinding } from "@hotset/inspector/internal";
import type { PrimaryConnection, RedisConnection } from "@hotset/redis-toolkit/connection";
import type { ModuleName } from "@hotset/redis-toolkit/inspect";
import type { Session } from "../command.ts";
import { sampleOf, type Sample } from "../keys/sample.ts";
import { processFindings } from "./processes.ts";
import { probeRights, probeTracking, type GrantedRights } from "./rights.ts";

/** An answer, or why there is none. */
export type Known<T> = { readonly value: T } | { readonly refused: string };

export const UNANSWERED = "BACKEND_UNAVAILABLE";

/** Whether no server answered the question. */
export const isUnanswered = (known: Known<unknown>): boolean => "refused" in known && known.refused === UNANSWERED;

/** One primary. */
export interface PrimaryFacts {
  readonly address: string;
  readonly info: Known<ReadonlyMap<string, string>>;
  readonly config: Known<ReadonlyMap<string, string>>;
  /** Lines of `CLIENT LIST`, as fields. */
  readonly clients: Known<readonly ReadonlyMap<string, string>[]>;
  /** The median of a few round trips. */
  readonly roundTripMs: Known<number>;
  /** The newest entries of `SLOWLOG`. */
  readonly slow: Known<readonly SlowCommand[]>;
}

/** A command that held a primary up. Its arguments are left out: they may be secrets. */
export interface SlowCommand {
  readonly command: string;
  /** When it was run, in seconds since 1970, by the clock of the server. */
  readonly at: number;
  readonly ms: number;
  /** Name and address of the client that sent it. */
  readonly client: string;
}

/** All that the checks know. */
export interface Facts {
  /** Modules that will be kept there, as its user says, next to those whose keys are found. */
  readonly expected: readonly ModuleName[];
  readonly primaries: readonly PrimaryFacts[];
  readonly sample: Known<Sample>;
  readonly user: Known<string>;
  readonly rights: Known<readonly GrantedRights[]>;
  readonly tracking: Known<boolean>;
  readonly cluster: Known<ReadonlyMap<string, string>>;
  readonly isCluster: boolean;
  readonly isResp3Refused: boolean;
  /** By the records of its processes. @default not looked at */
  readonly processes?: Known<readonly ProcessFinding[]>;
}

export interface Asked {
  /** Keys to look at, over all primaries. */
  readonly keys: number;
  /** Modules that are judged, next to those whose keys are found. */
  readonly modules: readonly ModuleName[];
}

const SETTINGS = [
  "client-output-buffer-limit",
  "appendfsync",
  "save",
  "timeout",
  "maxmemory-clients",
  "maxmemory-policy",
  "hash-max-listpack-value",
];
const ROUND_TRIPS = 5;
/** Clients that are looked at on each primary. */
const MAX_CLIENTS = 10_000;
const MAX_SLOW = 128;

/** The sample ends so soon: whoever asks in an incident waits. */
const SAMPLE_MS = 5_000;

/** Questions without an answer by then count as not answered. */
const MOST_MS = 50_000;

type Ask = <T>(ask: () => Promise<T>) => Promise<Known<T>>;

/** Asks everything, each within the bound of one answer, the sample within five seconds, all within a minute. */
export async function gather(session: Session, asked: Asked): Promise<Facts> {
  const late = Promise.withResolvers<never>();
  // It may come before anything is asked.
  late.promise.catch(() => undefined);
  const timer = setTimeout(() => late.reject({ code: UNANSWERED }), MOST_MS);
  try {
    return await gatherBy((ask) => answerOf(() => Promise.race([late.promise, ask()])), session, asked);
  } finally {
    clearTimeout(timer);
  }
}

async function gatherBy(known: Ask, session: Session, asked: Asked): Promise<Facts> {
  const { connection, timeoutMs, isResp3Refused } = session;
  const primaries = await primariesOf(connection);
  const [facts, sample, user] = await Promise.all([
    Promise.all(primaries.map((primary) => factsOf(known, primary, timeoutMs))),
    known(() => sampleOf(session, { keys: asked.keys, forMs: SAMPLE_MS })),
    known(async () => String(await connection.call(["ACL", "WHOAMI"], { isReadOnly: true, deadlineMs: timeoutMs }))),
  ]);
  const keys = "value" in sample ? sample.value.keys : [];
  const [rights, tracking, cluster, processes] = await Promise.all([
    known(() => probeRights(connection, keys, asked.modules)),
    known(() => (isResp3Refused ? Promise.resolve(false) : probeTracking(connection))),
    known(async () => {
      const reply = await connection.call(["CLUSTER", "INFO"], { isReadOnly: true, deadlineMs: timeoutMs });
      return lines(String(reply), ":");
    }),
    known(() => processFindings(session, keys, facts.length === 1 ? databasesOf(facts[0]!) : [])),
  ]);
  const { isCluster } = connection;
  return {
    expected: asked.modules,
    primaries: facts,
    sample,
    user,
    rights,
    tracking,
    cluster,
    isCluster,
    isResp3Refused,
    processes,
  };
}

/** @throws {BackendUnavailableError} where none answers: it was connected a moment ago. */
const primariesOf = (connection: RedisConnection): Promise<readonly PrimaryConnection[]> =>
  connection.each((primary) => Promise.resolve(primary));

async function factsOf(known: Ask, primary: PrimaryConnection, deadlineMs: number): Promise<PrimaryFacts> {
  const ask = (...args: string[]): Promise<unknown> => primary.call(args, { isReadOnly: true, deadlineMs });
  const [info, config, clients, slow] = await Promise.all([
    known(async () => lines(String(await ask("INFO")), ":")),
    known(async () => pairs(await ask("CONFIG", "GET", ...SETTINGS))),
    known(async () => {
      const text = String(await ask("CLIENT", "LIST", "TYPE", "normal"));
      return text.split("\n", MAX_CLIENTS).map((line) => lines(line.replaceAll(" ", "\n"), "="));
    }),
    known(async () => slowCommands(await ask("SLOWLOG", "GET", String(MAX_SLOW)))),
  ]);
  const roundTripMs = await known(async () => {
    const times: number[] = [];
    for (let i = 0; i < ROUND_TRIPS; i += 1) {
      const startedAt = performance.now();
      await ask("PING");
      times.push(performance.now() - startedAt);
    }
    return times.toSorted((one, other) => one - other)[Math.floor(ROUND_TRIPS / 2)]!;
  });
  return { address: primary.address, info, config, clients, roundTripMs, slow };
}

/** Those that have keys: `db1:keys=12,expires=3,avg_ttl=0`. */
const databasesOf = ({ info }: PrimaryFacts): readonly number[] =>
  ("value" in info ? [...info.value.keys()] : []).flatMap((name) =>
    /^db\d+$/.test(name) ? [Number(name.slice(2))] : [],
  );

function slowCommands(reply: unknown): readonly SlowCommand[] {
  const entries = reply as readonly (readonly [unknown, unknown, unknown, readonly unknown[], unknown?, unknown?])[];
  return entries.map(([, at, microseconds, [command], address, name]) => ({
    command: String(command).toUpperCase(),
    at: Number(at),
    ms: Number(microseconds) / 1_000,
    client: [name, address]
      .map((each) => String(each ?? ""))
      .filter((each) => each !== "")
      .join(" at "),
  }));
}

async function answerOf<T>(ask: () => Promise<T>): Promise<Known<T>> {
  try {
    return { value: await ask() };
  } catch (error) {
    return { refused: reasonOf(error) };
  }
}

/** `NOPERM`, `ERR`, or the code of an error of hotset. Not its text, which may be anything. */
function reasonOf(error: unknown): string {
  const { code, message = "" } = error as { readonly code?: unknown; readonly message?: string };
  if (typeof code === "string") return code;
  return /^-?(?<kind>[A-Z]{2,})\b/.exec(message)?.groups?.["kind"] ?? "UNKNOWN";
}

function lines(text: string, between: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const at = line.indexOf(between);
    if (at > 0 && !line.startsWith("#")) found.set(line.slice(0, at), line.slice(at + 1));
  }
  return found;
}

/** A map of RESP3, or the list that RESP2 has in its place. */
function pairs(reply: unknown): ReadonlyMap<string, string> {
  if (!Array.isArray(reply))
    return new Map(Object.entries(reply as object).map(([name, value]) => [name, String(value)]));
  return new Map(Array.from({ length: reply.length / 2 }, (_, i) => [String(reply[2 * i]), String(reply[2 * i + 1])]));
}
