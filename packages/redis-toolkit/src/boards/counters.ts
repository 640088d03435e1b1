import { randomUUID } from "node:crypto";
import { InvalidArgumentError } from "@hotset/core";
import type { RedisView } from "../index.ts";
import {
  checkName,
  checkOneOf,
  checkOptions,
  checkView,
  idText,
  moduleOf,
  MOST_SCRIPT_KEYS,
  shown,
  checkWholeNumber,
  type Id,
} from "../module/module.ts";
import {
  joined,
  JOINED,
  MOST_WINDOWS,
  runInCurrentWindow,
  runScriptIn,
  windowAt,
  windowBefore,
  windowsOf,
  WINDOW_CHECK,
  type CalendarWindow,
  type WindowKind,
  type WindowOptions,
  type Windows,
  type WindowScript,
} from "./windows.ts";

export { runInCurrentWindow, runScriptIn, checkWholeNumber, windowAt, windowBefore, windowsOf, WINDOW_CHECK };
export type { CalendarWindow, WindowKind, WindowOptions, Windows, WindowScript };

/** The last so many windows, with the current one as the last: at most `keep` and 1. */
export interface LastWindows {
  /** @default 1 */
  readonly windows?: number | undefined;
}

/** Options of {@link activeUsers}. */
export interface ActiveUsersOptions extends WindowOptions {
  /** @default 'daily' */
  readonly window?: WindowKind | undefined;
  /**
   * The largest id, at most 4,294,967,295. A window takes a bit for each id up to the largest that was marked: 8 MB
   * by default.
   *
   * @default 67_108_863
   */
  readonly maxId?: number | undefined;
}

/**
 * Exactly which of some numbered users were active in a window: one bit each. Calls reject with `CommandError` where
 * Redis refuses, `BackendUnavailableError` where it is not reached, and `InvalidArgumentError` for an id or a window
 * out of range.
 */
export interface ActiveUsers {
  /** Marks a user as active in the current window. @returns whether that is new */
  mark(id: number | string): Promise<boolean>;
  /** `back` windows before the current one, at most `keep`. @default back 0 */
  isActive(id: number | string, options?: { readonly back?: number | undefined }): Promise<boolean>;
  /** How many users were active in `any` of the last windows, or in `every` one. @default in 'any' */
  count(options?: LastWindows & { readonly in?: "any" | "every" | undefined }): Promise<number>;
  /** How many in each of the last windows, the current one as the last. */
  counts(options?: LastWindows): Promise<readonly WindowCount[]>;
}

/** The count of one window. */
export interface WindowCount {
  /** `2026-11-21` for a day. */
  readonly window: string;
  /** Users that were active in it. */
  readonly count: number;
}

/** Options of {@link uniques}. */
export interface UniquesOptions extends WindowOptions {
  /** Counters of one group can be counted together in a cluster. @default the name */
  readonly group?: string | undefined;
}

/**
 * About how many different members were added: within 2 % in 19 of 20 cases, in 12 kB a window. Calls reject with
 * `CommandError` where Redis refuses, `BackendUnavailableError` where it is not reached, and `InvalidArgumentError` for
 * arguments out of range.
 */
export interface Uniques {
  /** At most 10,000 per call. @returns whether the count may have changed */
  add(...members: readonly Id[]): Promise<boolean>;
  /**
   * How many different members in the last windows, and in those of the counters in `with`; a member of several counts
   * once. At most 1,000 windows of all counters together.
   *
   * @throws {CommandError} `CROSS_SLOT` in a cluster for counters of several groups; nothing was sent.
   */
  count(options?: LastWindows & { readonly with?: readonly Uniques[] | undefined }): Promise<number>;
}

const MOST_IDS = 2 ** 32 - 1;
/** The most keys that one script joins, next to the key that holds the result. */
const MOST_SOURCES = MOST_SCRIPT_KEYS - 1;
const MOST_AT_ONCE = 10_000;

/**
 * Active users by bitmap. Ids are small whole numbers, such as those of a database's sequence.
 *
 * @throws {InvalidArgumentError} for a name that is not text of 1 to 512 characters, and for options that can never
 *   work.
 */
export function activeUsers(redis: RedisView, name: string, options: ActiveUsersOptions = {}): ActiveUsers {
  const where = "activeUsers(redis, name, options)";
  checkView(where, redis);
  checkName(`${where}: name`, name);
  checkOptions(where, options, ["window", "keep", "maxId"]);
  const { window = "daily", maxId = 2 ** 26 - 1 } = options;
  checkWholeNumber(`${where}: maxId`, maxId, { min: 0, max: MOST_IDS });
  const windows = windowsOf(where, { ...options, window })!;
  return new BitmapUsers(redis, `active:${moduleOf(redis).space.hashTagged(name)}`, windows, maxId);
}

/** KEYS: the window's bits. ARGV: the window; id; end of the key. */
const MARK = `${WINDOW_CHECK}
local before = redis.call("SETBIT", KEYS[1], ARGV[3], 1)
redis.call("PEXPIREAT", KEYS[1], ARGV[4])
return {"done", 1 - before}`;

const IS_ACTIVE = `${WINDOW_CHECK}
return {"done", redis.call("GETBIT", KEYS[1], ARGV[3])}`;

/** KEYS: of one call, at most 64. */
const COUNT_EACH = `${WINDOW_CHECK}
local counts = {"done"}
for i, key in ipairs(KEYS) do counts[i + 1] = redis.call("BITCOUNT", key) end
return counts`;

/** KEYS: where the windows are joined, then their bits. ARGV: the window; OR or AND. */
const COUNT_TOGETHER = `${WINDOW_CHECK}
redis.call("BITOP", ARGV[3], KEYS[1], unpack(KEYS, 2))
local count = redis.call("BITCOUNT", KEYS[1])
redis.call("UNLINK", KEYS[1])
return {"done", count}`;

const JOIN_BITS = `${WINDOW_CHECK}
redis.call("BITOP", ARGV[3], KEYS[1], unpack(KEYS, 2))${JOINED}`;

class BitmapUsers implements ActiveUsers {
  readonly #redis: RedisView;
  readonly #base: string;
  readonly #windows: Windows;
  readonly #maxId: number;

  constructor(redis: RedisView, base: string, windows: Windows, maxId: number) {
    this.#redis = redis;
    this.#base = base;
    this.#windows = windows;
    this.#maxId = maxId;
  }

  async mark(id: number | string): Promise<boolean> {
    const bit = checkWholeNumber("mark(id): id", digits(id), { min: 0, max: this.#maxId });
    const { kind, keep } = this.#windows;
    const [, isNew] = await this.#run((current) => ({
      operation: "activeUsers.mark",
      script: MARK,
      keys: [this.#bits(current)],
      args: [bit, windowBefore(kind, current, -keep).endsAt],
    }));
    return isNew === 1;
  }

  async isActive(id: number | string, options: { readonly back?: number } = {}): Promise<boolean> {
    checkOptions("isActive(id, options)", options, ["back"]);
    const bit = checkWholeNumber("isActive(id, options): id", digits(id), { min: 0, max: this.#maxId });
    const { kind, keep } = this.#windows;
    const { back = 0 } = options;
    checkWholeNumber("isActive(id, options): back", back, { min: 0, max: keep });
    const [, is] = await this.#run((current) => ({
      operation: "activeUsers.isActive",
      script: IS_ACTIVE,
      keys: [this.#bits(windowBefore(kind, current, back))],
      args: [bit],
      isReadOnly: true,
    }));
    return is === 1;
  }

  async count(options: LastWindows & { readonly in?: "any" | "every" } = {}): Promise<number> {
    const where = "count(options)";
    checkOptions(where, options, ["windows", "in"]);
    const { in: matched = "any" } = options;
    checkOneOf(`${where}: in`, matched, ["any", "every"]);
    const count = lastWindows(where, options, this.#windows);
    if (count === 1) return (await this.counts())[0]!.count;
    const args = [matched === "any" ? "OR" : "AND"];
    const [, users] = await this.#run(async (current) => {
      const into = `${this.#base}:together:${randomUUID()}`;
      const bits = this.#last(current, count).map((window) => this.#bits(window));
      const operation = "activeUsers.count";
      const how = { operation, script: JOIN_BITS, args, into, room: MOST_SOURCES };
      const sources = await joined(this.#redis, current, bits, how);
      return { operation, script: COUNT_TOGETHER, keys: [into, ...sources], args };
    });
    return Number(users);
  }

  async counts(options: LastWindows = {}): Promise<readonly WindowCount[]> {
    checkOptions("counts(options)", options, ["windows"]);
    const count = lastWindows("counts(options)", options, this.#windows);
    let windows: readonly CalendarWindow[] = [];
    let earlier: readonly unknown[] = [];
    const [, ...latest] = await this.#run(async (current) => {
      windows = this.#last(current, count);
      earlier = [];
      const countOf = (part: readonly CalendarWindow[]): WindowScript => ({
        operation: "activeUsers.counts",
        script: COUNT_EACH,
        keys: part.map((window) => this.#bits(window)),
        args: [],
        isReadOnly: true,
      });
      let rest = windows;
      for (; rest.length > MOST_SCRIPT_KEYS; rest = rest.slice(MOST_SCRIPT_KEYS)) {
        const [, ...counts] = await runScriptIn(this.#redis, current, countOf(rest.slice(0, MOST_SCRIPT_KEYS)));
        earlier = [...earlier, ...counts];
      }
      return countOf(rest);
    });
    const counts = [...earlier, ...latest];
    return windows.map(({ name }, i) => ({ window: name, count: Number(counts[i]) }));
  }

  /** The oldest first. */
  #last(current: CalendarWindow, count: number): readonly CalendarWindow[] {
    return Array.from({ length: count }, (_, i) => windowBefore(this.#windows.kind, current, count - 1 - i));
  }

  #bits(window: CalendarWindow): string {
    return `${this.#base}:${window.name}:bits`;
  }

  #run(describe: (current: CalendarWindow) => WindowScript | Promise<WindowScript>): Promise<readonly unknown[]> {
    return runInCurrentWindow(this.#redis, this.#windows.kind, describe);
  }
}

/**
 * A count of different members by HyperLogLog.
 *
 * @throws {InvalidArgumentError} for a name that is not text of 1 to 512 characters, and for options that can never
 *   work.
 */
export function uniques(redis: RedisView, name: string, options: UniquesOptions = {}): Uniques {
  const where = "uniques(redis, name, options)";
  checkView(where, redis);
  checkName(`${where}: name`, name);
  checkOptions(where, options, ["window", "keep", "group"]);
  const { group } = options;
  if (group !== undefined) checkName(`${where}: group`, group);
  // Without colons, so that no name ends like a window.
  const inGroup = name.replace(/[%:{}]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  const tag = moduleOf(redis).space.hashTagged(group ?? name);
  const base = group === undefined ? `uniques:${tag}` : `uniques:${tag}:of:${inGroup}`;
  return new HyperLogLogUniques(redis, base, windowsOf(where, options));
}

/** KEYS: the window's HyperLogLog. ARGV: the window; end of the key, 0 for none; members. */
const ADD = `${WINDOW_CHECK}
local changed = 0
for first = 4, #ARGV, 1000 do
  local part = redis.call("PFADD", KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
  changed = math.max(changed, part)
end
if ARGV[3] ~= "0" then redis.call("PEXPIREAT", KEYS[1], ARGV[3]) end
return {"done", changed}`;

const COUNT_UNIQUES = `${WINDOW_CHECK}
return {"done", redis.call("PFCOUNT", unpack(KEYS))}`;

const JOIN_UNIQUES = `${WINDOW_CHECK}
redis.call("PFMERGE", KEYS[1], unpack(KEYS, 2))${JOINED}`;

/** KEYS: where they are joined, then what is left to join. */
const COUNT_JOINED = `${WINDOW_CHECK}
redis.call("PFMERGE", KEYS[1], unpack(KEYS, 2))
local count = redis.call("PFCOUNT", KEYS[1])
redis.call("UNLINK", KEYS[1])
return {"done", count}`;

/** Ids of other programs may be text. */
const digits = (id: number | string): number =>
  typeof id === "string" && /^\d{1,10}$/.test(id) ? Number(id) : (id as number);

class HyperLogLogUniques implements Uniques {
  readonly #redis: RedisView;
  readonly #base: string;
  readonly #windows: Windows | undefined;

  constructor(redis: RedisView, base: string, windows: Windows | undefined) {
    this.#redis = redis;
    this.#base = base;
    this.#windows = windows;
  }

  async add(...ids: readonly Id[]): Promise<boolean> {
    const members = ids.map((member) => idText("add(...members): a member", member));
    if (members.length === 0) return false;
    if (members.length > MOST_AT_ONCE)
      throw new InvalidArgumentError(`add(...members): at most 10,000 per call, got ${members.length}`);
    const [, changed] = await this.#run((current) => ({
      operation: "uniques.add",
      script: ADD,
      keys: this.#keys(current, 1),
      args: [this.#endOf(current), ...members],
    }));
    return changed === 1;
  }

  async count(options: LastWindows & { readonly with?: readonly Uniques[] } = {}): Promise<number> {
    const where = "count(options)";
    checkOptions(where, options, ["windows", "with"]);
    const { with: others = [] } = options;
    if (!Array.isArray(others)) throw new InvalidArgumentError(`${where}: with must be a list, got ${shown(others)}`);
    const together = [this, ...(others as readonly Uniques[])].map((one) => this.#fellow(where, one));
    const counts = together.map((one) => lastWindows(where, options, one.#windows));
    if (counts.reduce((sum, count) => sum + count, 0) > MOST_WINDOWS)
      throw new InvalidArgumentError(`${where}: at most 1,000 windows of all counters together`);
    const operation = "uniques.count";
    const [, count] = await this.#run(async (current) => {
      const keys = together.flatMap((one, i) => one.#keys(current, counts[i]!));
      if (keys.length <= MOST_SCRIPT_KEYS)
        return { operation, script: COUNT_UNIQUES, keys, args: [], isReadOnly: true };
      const into = `${this.#base}:together:${randomUUID()}`;
      const how = { operation, script: JOIN_UNIQUES, args: [], into, room: MOST_SOURCES };
      const left = await joined(this.#redis, current, keys, how);
      return { operation, script: COUNT_JOINED, keys: [into, ...left], args: [] };
    });
    return Number(count);
  }

  #fellow(where: string, other: Uniques): HyperLogLogUniques {
    if (!(other instanceof HyperLogLogUniques) || other.#windows?.kind !== this.#windows?.kind)
      throw new InvalidArgumentError(`${where}: with takes counters of uniques() that have the same window`);
    if (!isSameView(other.#redis, this.#redis))
      throw new InvalidArgumentError(`${where}: with takes counters of the same tenant and connection`);
    return other;
  }

  #keys(current: CalendarWindow | undefined, count: number): readonly string[] {
    if (current === undefined) return [`${this.#base}:hll`];
    const { kind } = this.#windows!;
    return Array.from({ length: count }, (_, back) => `${this.#base}:${windowBefore(kind, current, back).name}:hll`);
  }

  /** Milliseconds since 1970; 0 for none. */
  #endOf(current: CalendarWindow | undefined): number {
    if (current === undefined) return 0;
    const { kind, keep } = this.#windows!;
    return windowBefore(kind, current, -keep).endsAt;
  }

  async #run(
    describe: (current: CalendarWindow | undefined) => WindowScript | Promise<WindowScript>,
  ): Promise<readonly unknown[]> {
    if (this.#windows === undefined) return runScriptIn(this.#redis, undefined, await describe(undefined));
    return runInCurrentWindow(this.#redis, this.#windows.kind, describe);
  }
}

const isSameView = (one: RedisView, other: RedisView): boolean => {
  const [a, b] = [moduleOf(one), moduleOf(other)];
  return a.space.prefix === b.space.prefix && a.connection === b.connection;
};

/** @throws {InvalidArgumentError} for more windows than are kept. */
function lastWindows(where: string, { windows = 1 }: LastWindows, kept: Windows | undefined): number {
  return checkWholeNumber(`${where}: windows`, windows, { min: 1, max: (kept?.keep ?? 0) + 1 });
}
