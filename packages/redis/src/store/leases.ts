import { InvalidArgumentError, type Leases, type StoredEntry } from "@hotset/core";
import {
  decodeEntry,
  encodeEntry,
  NO_VERSION,
  versionOf,
  writeIdOf,
  type EntryFields,
  type WriteIds,
} from "./redis-keys.ts";
import { announce, put, script, SIGNAL, WAKE, type Script } from "../lua/script.ts";

/**
 * Puts into `was` what is there: the entry's version; `-` where it has none, or none that could be one; `''` where there
 * is no entry; `!` where its key is of another type, which nobody can read.
 */
const PRESENT = `was = redis.pcall('HGET', KEYS[1], 'w')
if type(was) == 'table' then
  if not string.find(was.err, 'WRONGTYPE', 1, true) then return was end
  was = '!'
elseif not was then
  was = redis.call('HLEN', KEYS[1]) == 0 and '' or '-'
elseif #was > 32 or not string.find(was, '^[%w_-]+$') then
  was = '-'
end`;

/**
 * Takes a lease. ARGV: token, its life in ms, what was seen, where `*` takes it from whoever holds it and `?` compares
 * nothing. Replies `{1, what is there}` when it is granted, `{0, ms}` when it is held, and `{2, PTTL, fields}` with an
 * entry that is not what was seen: somebody stored meanwhile.
 */
export const ACQUIRE: Script = script(`local was = ''
if ARGV[3] ~= '?' then
  ${PRESENT}
end
if ARGV[3] == '*' then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  return {1, was}
end
if was ~= '' and was ~= '!' and was ~= ARGV[3] then
  return {2, redis.call('PTTL', KEYS[1]), redis.call('HMGET', KEYS[1], 'd', 's', 'm', 'w')}
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {1, was} end
return {0, redis.call('PTTL', KEYS[2])}`);

/** Prolongs a lease: 1 when it is held. ARGV: token, its life in ms. */
export const RENEW_LEASE: Script = script(`if redis.pcall('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])`);

/**
 * Stores under a lease, and ends it: 1 when it did. ARGV: token, what the lease was granted over (`?` compares nothing),
 * lifetime (`0` where it is over already), fields and values. Without the lease nothing is touched; where the entry is
 * another by now, the lease alone ends.
 */
export const STORE: Script = script(`if redis.pcall('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if ARGV[2] ~= '?' then
  local was
  ${PRESENT}
  if was ~= ARGV[2] then
    redis.call('DEL', KEYS[2])
    ${WAKE}
    return 0
  end
end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[2])
  ${SIGNAL}
  ${announce()}
  return 1
end
${put(3)}`);

/** Ends a lease: 1 when it was held. ARGV: token. */
export const RELEASE: Script = script(`if redis.pcall('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
${WAKE}
return 1`);

export interface LeaseSettings {
  readonly layout: "full" | "plain";
  readonly writeIds: WriteIds;
  /** Epoch milliseconds. */
  readonly epochMs: () => number;
}

/** Runs a script over the entry of `key` and its lease. */
export type RunLeaseScript = <T>(
  operation: "acquire" | "renew" | "store" | "release",
  script: Script,
  key: string,
  args: readonly (string | Buffer)[],
  interpret: (reply: unknown) => T,
) => Promise<T>;

/** Sends one plain command about the entry of `key`, behind its key the words given, on the connection that hears of changes. */
export type AskAboutEntry = (command: string, key: string, ...more: string[]) => Promise<unknown>;

type Acquired = Awaited<ReturnType<Leases["acquire"]>>;

/**
 * Leases in Redis: a key beside each entry, which holds the token of whoever loads it and ends by itself.
 *
 * Versions are those of entries, and besides `''` for none, `-` for one that another program wrote, and `!` for a key
 * of another type. The plain layout has no versions: there nothing is compared, and `confirm` answers `''`.
 */
export class RedisLeases implements Leases {
  readonly #run: RunLeaseScript;
  readonly #ask: AskAboutEntry;
  readonly #settings: LeaseSettings;
  readonly #compares: boolean;

  constructor(run: RunLeaseScript, ask: AskAboutEntry, settings: LeaseSettings) {
    this.#run = run;
    this.#ask = ask;
    this.#settings = settings;
    this.#compares = settings.layout === "full";
  }

  async acquire(key: string, token: string, leaseMs: number, seen: string): Promise<Acquired> {
    const life = leaseLife(leaseMs);
    let compared = this.#compares || seen === "*" ? seen : "?";
    for (;;) {
      const answer = await this.#run("acquire", ACQUIRE, key, [token, life, compared], (reply) =>
        this.#acquired(reply as AcquireReply),
      );
      if (typeof answer !== "string") return answer;
      // Nobody can read what is there, so it is in nobody's way.
      compared = answer;
    }
  }

  async renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#run("renew", RENEW_LEASE, key, [token, leaseLife(leaseMs)], isOne);
  }

  async release(key: string, token: string): Promise<void> {
    await this.#run("release", RELEASE, key, [token], isOne);
  }

  async store(key: string, token: string, seen: string, entry: StoredEntry): Promise<boolean> {
    const { layout, epochMs, writeIds } = this.#settings;
    const written = encodeEntry(entry, layout, epochMs(), writeIdOf(entry, writeIds)) ?? ["0"];
    return this.#run("store", STORE, key, [token, this.#compares ? seen : "?", ...written], isOne);
  }

  async confirm(key: string): Promise<string> {
    if (!this.#compares) return "";
    try {
      const w = (await this.#ask("HGET", key, "w")) as Buffer | null;
      if (w !== null) return versionOf(w);
      return (await this.#ask("HLEN", key)) === 0 ? "" : NO_VERSION;
    } catch (error) {
      if (error instanceof Error && error.message.startsWith("WRONGTYPE")) return "!";
      throw error;
    }
  }

  /** @returns the version alone of an entry that cannot be read. */
  #acquired([kind, detail, fields]: AcquireReply): Acquired | string {
    switch (kind) {
      case 0:
        // A lease without an end is none of ours.
        return { granted: false, heldForMs: detail < 0 ? Infinity : detail };
      case 1:
        return { granted: true, version: this.#compares ? detail.toString("latin1") : "" };
      case 2: {
        const entry = decodeEntry(fields, detail, this.#settings.epochMs, "full");
        return entry === undefined ? versionOf(fields[3]) : { granted: false, entry };
      }
    }
  }
}

type AcquireReply =
  | readonly [held: 0, ttlMs: number, none?: undefined]
  | readonly [granted: 1, version: Buffer, none?: undefined]
  | readonly [changed: 2, ttlMs: number, fields: EntryFields];

/** Whole milliseconds, as PEXPIRE wants them. @throws {InvalidArgumentError} for `NaN`. */
function leaseLife(leaseMs: number): string {
  if (Number.isNaN(leaseMs)) throw new InvalidArgumentError("leaseMs: is no number; give milliseconds");
  return String(Math.min(Math.max(1, Math.ceil(leaseMs)), Number.MAX_SAFE_INTEGER));
}

const isOne = (reply: unknown): boolean => reply === 1;
