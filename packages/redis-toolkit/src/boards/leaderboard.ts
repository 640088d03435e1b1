import { randomUUID } from "node:crypto";
import { ConfigurationError, InvalidArgumentError, type Duration } from "@hotset/core";
import { CommandError, type RedisView } from "../index.ts";
import {
  checkFlag,
  checkFunction,
  checkName,
  checkOneOf,
  checkOptions,
  checkView,
  durationMs,
  expectNoEviction,
  keyBy,
  moduleOf,
  MOST_SCRIPT_KEYS,
  shown,
  type Id,
} from "../module/module.ts";
import { BEST, CLEAR, INCREASE, INDEX, JOIN_WINDOWS, READ, READ_UNION, REMOVE, SET } from "./board-scripts.ts";
import { runInCurrentWindow, runScriptIn, checkWholeNumber, windowBefore, windowsOf } from "./counters.ts";
import {
  checkMember,
  QueriedStandings,
  readScore,
  writeScore,
  type Answer,
  type Page,
  type Query,
  type Ranks,
  type Row,
  type Standings,
} from "./standings.ts";
import { joined, type WindowOptions, type Windows, type WindowScript } from "./windows.ts";

export type { Page, Row, Standings };

/** Options of {@link leaderboard}. */
export interface LeaderboardOptions extends WindowOptions {
  /** Which score is first. It also decides which one is `best`. @default 'highest' */
  readonly order?: "highest" | "lowest" | undefined;
  /**
   * How members of one score are sorted: by the bytes of their names, as Redis does (the last name first where the
   * highest score is first), or the member first that reached the score first.
   *
   * @default 'by-name'
   */
  readonly ties?: "by-name" | "first-reached" | undefined;
  /**
   * The ranks of scores 9, 8, 8, 7: `standard` 1, 2, 2, 4; `dense` 1, 2, 2, 3; `ordinal` 1, 2, 3, 4.
   *
   * @default 'standard', and 'ordinal' with ties by 'first-reached'
   */
  readonly ranks?: Ranks | undefined;
  /** Writes reject where Redis may remove the board when memory is short; otherwise that is reported. @default false */
  readonly requireNoEviction?: boolean | undefined;
  /**
   * The key of the sorted set of the scores, for programs that have one: `(name) => name`. Without windows, dense ranks
   * and ties by 'first-reached', whose indexes another program would not keep.
   */
  readonly key?: ((name: string) => string) | undefined;
}

/** Options of {@link Leaderboard.union}. */
export interface UnionOptions {
  /** How many windows, with the current one as the last: at most `keep` and 1. */
  readonly windows: number;
  /** The score of a member of several windows. @default 'sum' */
  readonly scores?: "sum" | "best" | undefined;
  /** How old the union may be; with 0 each call makes it again. At most a day. @default 0 */
  readonly maxAge?: Duration | undefined;
}

/** How many members a `setMany` added, changed, and found as they are. */
export interface Changes {
  /** Members that were not on the board. */
  readonly added: number;
  /** Members whose score is another one now. */
  readonly changed: number;
  /** Members that had this score. */
  readonly unchanged: number;
}

/**
 * A board of scores. Calls reject with `CommandError` where Redis refuses, `BackendUnavailableError` where it is not
 * reached, and `InvalidArgumentError` for a member, a score or a count out of range.
 */
export interface Leaderboard extends Standings {
  /**
   * Scores are doubles, and come back bit for bit. `NaN` is refused, `Infinity` is first or last; a `bigint` that no
   * double equals is refused.
   *
   * @returns `unchanged` where the member had that score
   */
  set(member: Id, score: number | bigint): Promise<keyof Changes>;
  /** Up to 1,000 scores in one step; of a member that comes twice the last counts. */
  setMany(scores: Iterable<readonly [member: Id, score: number | bigint]>): Promise<Changes>;
  /** Keeps the better score. @returns the score that the member has now, and whether it is a new one */
  best(member: Id, score: number | bigint): Promise<{ readonly score: number; readonly improved: boolean }>;
  /**
   * Adds to a score, from 0. @returns the new one
   *
   * @throws {CommandError} `NOT_A_NUMBER` for a sum beyond 2^53, where doubles leave whole numbers out; nothing was
   *   changed.
   */
  incr(member: Id, by?: number): Promise<number>;
  /** At most 1,000 per call. @returns how many of them were members */
  remove(...members: readonly Id[]): Promise<number>;
  /** Removes all members; of a board with windows those of the current one. */
  clear(): Promise<void>;
  /** The window so many before the current one, at most `keep`. @default 1 */
  previous(back?: number): Standings;
  /**
   * Several windows as one board, whose ties are by name. More than 62 take several steps, so a change in between
   * counts or does not.
   */
  union(options: UnionOptions): Standings;
}

const OPTIONS = ["order", "ties", "ranks", "requireNoEviction", "window", "keep", "key"];
const INDEXES = ["levels", "stamps", "reached"];
/** Some 10 ms of Redis. */
const MOST_AT_ONCE = 1_000;
/** An index that is lost again each time is lost for want of memory. */
const MOST_MAKINGS = 3;
const DAY_MS = 86_400_000;

/**
 * A leaderboard: nothing is sent before it is used, and each change is one step. Make one where you need it.
 *
 * Calls reject with `ConfigurationError` where the ties of this board are kept for the other `order`.
 *
 * @throws {InvalidArgumentError} for a name that is not text of 1 to 512 characters, and for options that can never
 *   work.
 */
export function leaderboard(redis: RedisView, name: string, options: LeaderboardOptions = {}): Leaderboard {
  const where = "leaderboard(redis, name, options)";
  checkView(where, redis);
  checkName(`${where}: name`, name);
  checkOptions(where, options, OPTIONS);
  const { order = "highest", ties = "by-name", requireNoEviction = false } = options;
  const { ranks = ties === "first-reached" ? "ordinal" : "standard" } = options;
  checkFlag(`${where}: requireNoEviction`, requireNoEviction);
  checkOneOf(`${where}: order`, order, ["highest", "lowest"]);
  checkOneOf(`${where}: ties`, ties, ["by-name", "first-reached"]);
  checkOneOf(`${where}: ranks`, ranks, ["standard", "dense", "ordinal"]);
  const windows = windowsOf(where, options);
  if (options.key !== undefined) {
    checkFunction(`${where}: key`, options.key);
    if (windows !== undefined || ranks === "dense" || ties === "first-reached")
      throw new InvalidArgumentError(
        `${where}: with key other programs change the scores, so neither window, ranks: "dense" nor ties: "first-reached"`,
      );
  }
  return new RedisLeaderboard({
    redis,
    scores: options.key && keyBy(where, options.key, name),
    base: `leaderboard:${moduleOf(redis).space.hashTagged(name)}`,
    order,
    ties,
    ranks,
    requireNoEviction,
    windows,
  });
}

interface Board {
  readonly redis: RedisView;
  /** The key of the scores, where it was given. */
  readonly scores: string | undefined;
  /** The begin of all keys. */
  readonly base: string;
  readonly order: "highest" | "lowest";
  readonly ties: "by-name" | "first-reached";
  readonly ranks: Ranks;
  readonly requireNoEviction: boolean;
  readonly windows: Windows | undefined;
}

/** The whole board, or one window of it. */
class BoardStandings extends QueriedStandings {
  protected readonly board: Board;
  /** How many windows before the current one. */
  readonly #back: number;

  constructor(board: Board, back: number) {
    super(board.ranks);
    this.board = board;
    this.#back = back;
  }

  protected async ask(call: keyof Standings, query: Query): Promise<Answer> {
    const args = [...query.map(String), this.board.ranks];
    for (let making = 0; making < MOST_MAKINGS; making += 1) {
      const reply = await this.run(call, READ, args, { isReadOnly: true });
      if (reply[0] !== "index") return answerOf(reply);
      await this.#index(call);
    }
    throw new CommandError(`leaderboard.${call}: an index of this board was lost while it was made`, {
      code: "TRY_AGAIN",
      operation: `leaderboard.${call}`,
      retryable: true,
    });
  }

  /** Makes the indexes of a board that has none, in steps that delay no other caller for long. */
  async #index(call: keyof Standings): Promise<void> {
    let [name, position]: readonly unknown[] = ["0", "0"];
    do [, name, position] = await this.run(call, INDEX, [String(name), String(position)], { isReadOnly: false });
    while (position !== "0");
  }

  /** Runs a script over the keys of a window. @returns its reply, without refusals */
  protected async run(
    call: keyof Leaderboard,
    script: string,
    args: readonly string[],
    { isReadOnly }: { readonly isReadOnly: boolean },
  ): Promise<readonly unknown[]> {
    const { redis, base, windows, scores } = this.board;
    const { space } = moduleOf(redis);
    const describe = (key: string, endAt: number): WindowScript => ({
      operation: `leaderboard.${call}`,
      script,
      keys:
        scores === undefined
          ? [`${key}:scores`, ...INDEXES.map((part) => `${key}:${part}`)]
          : [scores, ...INDEXES.map((part) => space.beside(scores, part))],
      args: [endAt, ...this.#facts(), ...args],
      isReadOnly,
    });
    if (windows === undefined) return refuse(await runScriptIn(redis, undefined, describe(base, 0)));
    const { kind, keep } = windows;
    const reply = await runInCurrentWindow(redis, kind, (current) => {
      const window = windowBefore(kind, current, this.#back);
      return describe(`${base}:${window.name}`, windowBefore(kind, window, -keep).endsAt);
    });
    return refuse(reply);
  }

  #facts(): readonly string[] {
    const { order, ties, ranks } = this.board;
    return [order, ties === "first-reached" ? "1" : "", ranks === "dense" ? "1" : ""];
  }
}

class RedisLeaderboard extends BoardStandings implements Leaderboard {
  #isEvictionReported = false;

  constructor(board: Board) {
    super(board, 0);
  }

  async set(member: Id, score: number | bigint): Promise<keyof Changes> {
    const { added, changed } = await this.#set("set", [[member, score]]);
    return added === 1 ? "added" : changed === 1 ? "changed" : "unchanged";
  }

  async setMany(scores: Iterable<readonly [Id, number | bigint]>): Promise<Changes> {
    const all = pairsOf(scores);
    if (all.length > MOST_AT_ONCE)
      throw new InvalidArgumentError(`setMany(scores): at most 1,000 per call, got ${all.length}`);
    return all.length === 0 ? { added: 0, changed: 0, unchanged: 0 } : this.#set("setMany", all);
  }

  async #set(call: "set" | "setMany", scores: readonly (readonly [Id, number | bigint])[]): Promise<Changes> {
    const where = call === "set" ? "set(member, score)" : "setMany(scores)";
    const args = scores.flatMap(([member, score]) => [checkMember(where, member), writeScore(where, score)]);
    const [, added, changed, unchanged] = await this.#change(call, SET, args);
    return { added: Number(added), changed: Number(changed), unchanged: Number(unchanged) };
  }

  async best(member: Id, score: number | bigint): Promise<{ readonly score: number; readonly improved: boolean }> {
    const where = "best(member, score)";
    const [, improved, kept] = await this.#change("best", BEST, [checkMember(where, member), writeScore(where, score)]);
    return { score: readScore(String(kept)), improved: improved === 1 };
  }

  async incr(member: Id, by = 1): Promise<number> {
    const where = "incr(member, by)";
    if (!Number.isFinite(by)) throw new InvalidArgumentError(`${where}: by must be a finite number, got ${shown(by)}`);
    const [, sum] = await this.#change("incr", INCREASE, [checkMember(where, member), String(by)]);
    return readScore(String(sum));
  }

  async remove(...members: readonly Id[]): Promise<number> {
    if (members.length === 0) return 0;
    if (members.length > MOST_AT_ONCE)
      throw new InvalidArgumentError(`remove(...members): at most 1,000 per call, got ${members.length}`);
    const [, removed] = await this.#change(
      "remove",
      REMOVE,
      members.map((member) => checkMember("remove(...members)", member)),
    );
    return Number(removed);
  }

  async clear(): Promise<void> {
    await this.run("clear", CLEAR, [], { isReadOnly: false });
  }

  previous(back = 1): Standings {
    checkWholeNumber("previous(back): back", back, { min: 1, max: this.#windows("previous(back)").keep });
    return new BoardStandings(this.board, back);
  }

  union(options: UnionOptions): Standings {
    const where = "union(options)";
    checkOptions(where, options ?? null, ["windows", "scores", "maxAge"]);
    const { scores = "sum", maxAge = 0 } = options;
    const { keep } = this.#windows(where);
    checkWholeNumber(`${where}: windows`, options.windows, { min: 1, max: keep + 1 });
    checkOneOf(`${where}: scores`, scores, ["sum", "best"]);
    const maxAgeMs = durationMs(`${where}: maxAge`, maxAge, { min: 0, max: DAY_MS });
    return new UnionStandings(this.board, { windows: options.windows, scores, maxAgeMs });
  }

  #windows(where: string): Windows {
    const { windows } = this.board;
    if (windows === undefined) throw new InvalidArgumentError(`${where}: this board has no windows; give window`);
    return windows;
  }

  async #change(call: keyof Leaderboard, script: string, args: readonly string[]): Promise<readonly unknown[]> {
    const { redis, requireNoEviction: required } = this.board;
    if (required) await expectNoEviction(redis, "leaderboard", { required });
    else this.#reportEviction();
    return this.run(call, script, args, { isReadOnly: false });
  }

  /** No change waits for it, and it never rejects. */
  #reportEviction(): void {
    if (this.#isEvictionReported) return;
    this.#isEvictionReported = true;
    void expectNoEviction(this.board.redis, "leaderboard");
  }
}

function pairsOf<Pair>(scores: Iterable<Pair>): readonly Pair[] {
  const isList = typeof scores === "object" && scores !== null && Symbol.iterator in scores;
  const all = isList ? [...scores] : [];
  const wrong = all.findIndex((pair) => !Array.isArray(pair));
  if (isList && wrong < 0) return all;
  throw new InvalidArgumentError(
    `setMany(scores): scores must be pairs of a member and a score, got ${shown(isList ? all[wrong] : scores)}`,
  );
}

interface Union {
  readonly windows: number;
  readonly scores: "sum" | "best";
  readonly maxAgeMs: number;
}

/** The most windows that one script joins, next to the scores and levels of the union. */
const MOST_SOURCES = MOST_SCRIPT_KEYS - 2;

/** A board that is made of windows, in a key that lives for `maxAge`. */
class UnionStandings extends QueriedStandings {
  readonly #board: Board;
  readonly #union: Union;

  constructor(board: Board, union: Union) {
    super(board.ranks);
    this.#board = board;
    this.#union = union;
  }

  protected async ask(call: keyof Standings, query: Query): Promise<Answer> {
    const operation = `leaderboard.union.${call}`;
    const { redis, base, order, ranks, windows } = this.#board;
    const { kind } = windows!;
    const { windows: count, scores, maxAgeMs } = this.#union;
    const join = scores === "sum" ? "SUM" : order === "highest" ? "MAX" : "MIN";
    const isMany = count > MOST_SOURCES;
    const read = (from: "the windows" | "what there is"): Promise<readonly unknown[]> =>
      runInCurrentWindow(redis, kind, async (current) => {
        const names = Array.from({ length: count }, (_, back) => windowBefore(kind, current, back).name);
        // A union that may be older is another one, as is that of boards with the other order.
        const union = `${base}:${names.at(-1)}:${names[0]}:${join.toLowerCase()}:${maxAgeMs}`;
        const into = `${union}:${randomUUID()}`;
        const all = from === "the windows" ? names.map((name) => `${base}:${name}:scores`) : [];
        const how = { operation, script: JOIN_WINDOWS, args: [join], into, room: MOST_SOURCES };
        const isOwn = isMany && from === "the windows" ? "1" : "";
        return {
          operation,
          script: READ_UNION,
          keys: [`${union}:scores`, `${union}:levels`, ...(await joined(redis, current, all, how))],
          args: [join, order, "", ranks === "dense" ? "1" : "", ...query, ranks, maxAgeMs, isOwn],
        };
      });
    // Many windows take several steps, which a union that is young enough saves.
    const found = isMany && maxAgeMs > 0 ? await read("what there is") : ["absent"];
    return answerOf(found[0] === "absent" ? await read("the windows") : found);
  }
}

/** The scripts of boards refuse by a word. */
function refuse(reply: readonly unknown[]): readonly unknown[] {
  if (reply[0] === "order")
    throw new ConfigurationError(
      `leaderboard: the ties of this board are kept for order: ${JSON.stringify(reply[1])}; give that order, or ` +
        "another name",
    );
  if (reply[0] === "inexact")
    throw new CommandError(
      "incr: the sum is beyond 2^53, where not every whole number is a score; nothing was changed",
      {
        code: "NOT_A_NUMBER",
        operation: "leaderboard.incr",
      },
    );
  return reply;
}

const answerOf = ([, members = 0, position = 0, rank = 1, rows = []]: readonly unknown[]): Answer => ({
  members: Number(members),
  position: Number(position),
  rank: Number(rank),
  rows: rows as readonly string[],
});
