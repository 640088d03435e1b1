import { InvalidArgumentError } from "@hotset/core";
import { kindOf } from "@hotset/core/internal";
import { checkOptions, idText, type Id } from "../module/module.ts";
import { checkWholeNumber } from "./counters.ts";

/** How equal scores rank. */
export type Ranks = "standard" | "dense" | "ordinal";

/** One member of a board. */
export interface Row {
  /** The member as it was added; a whole number as its digits. */
  readonly member: string;
  /** A double, bit for bit as it was set. */
  readonly score: number;
  /** From 1. */
  readonly rank: number;
}

/** One page of a board. */
export interface Page {
  /** In the order of the board; empty beyond the last page. */
  readonly rows: readonly Row[];
  /** How many members the board has. */
  readonly members: number;
  /** How many pages it has, of the size that was asked for. */
  readonly pages: number;
}

/**
 * The reading half of a board. No answer has more than 10,001 rows. Calls reject with `CommandError` where Redis
 * refuses, `BackendUnavailableError` where it is not reached, and `InvalidArgumentError` for a count, a page or a
 * member out of range.
 */
export interface Standings {
  /** The first `count` rows, at most 10,000. @default 10 */
  top(count?: number): Promise<readonly Row[]>;
  /** One page, from 1; beyond the last it is empty. `size` is at most 10,000. @default size 10 */
  page(page: number, options?: { readonly size?: number | undefined }): Promise<Page>;
  /** `undefined` if it is not on the board. */
  rank(member: Id): Promise<Row | undefined>;
  /**
   * A member between up to `distance` rows before and after it, at most 5,000; empty if it is not on the board.
   *
   * @default 2
   */
  around(member: Id, distance?: number): Promise<readonly Row[]>;
  /** How many members. */
  size(): Promise<number>;
}

export type Query =
  | readonly [what: "page", first: number, count: number]
  | readonly [what: "around", member: string, distance: number];

/** The reply of a script to a query. */
export interface Answer {
  readonly members: number;
  /** The position of the first row, from 0. */
  readonly position: number;
  readonly rank: number;
  /** Member, score, member, score. */
  readonly rows: readonly string[];
}

const MOST_ROWS = 10_000;

/** Checks what is asked, and numbers the rows of the answer. */
export abstract class QueriedStandings implements Standings {
  readonly #ranks: Ranks;

  constructor(ranks: Ranks) {
    this.#ranks = ranks;
  }

  /** @param call the call of the user, for errors */
  protected abstract ask(call: keyof Standings, query: Query): Promise<Answer>;

  async top(count = 10): Promise<readonly Row[]> {
    return this.#number(await this.ask("top", ["page", 0, rowCount("top(count): count", count)]));
  }

  async page(page: number, options: { readonly size?: number } = {}): Promise<Page> {
    checkOptions("page(page, options)", options, ["size"]);
    const { size = 10 } = options;
    rowCount("page(page, options): size", size);
    checkWholeNumber("page(page, options): page", page, { min: 1, max: 2 ** 32 });
    const answer = await this.ask("page", ["page", (page - 1) * size, size]);
    return { rows: this.#number(answer), members: answer.members, pages: Math.ceil(answer.members / size) };
  }

  async rank(member: Id): Promise<Row | undefined> {
    return this.#number(await this.ask("rank", ["around", checkMember("rank(member)", member), 0]))[0];
  }

  async around(member: Id, distance = 2): Promise<readonly Row[]> {
    checkWholeNumber("around(member, distance): distance", distance, { min: 0, max: MOST_ROWS / 2 });
    return this.#number(
      await this.ask("around", ["around", checkMember("around(member, distance)", member), distance]),
    );
  }

  async size(): Promise<number> {
    return (await this.ask("size", ["page", 0, 1])).members;
  }

  /** The rank of the first row is Redis's; the others follow from the scores. */
  #number({ position, rank: firstRank, rows: flat }: Answer): readonly Row[] {
    const rows: Row[] = [];
    for (let i = 0; i < flat.length; i += 2) {
      const score = readScore(flat[i + 1]!);
      const before = rows.at(-1);
      rows.push({
        member: flat[i]!,
        score,
        rank: before === undefined ? firstRank : this.#rankAfter(before, score, position + rows.length),
      });
    }
    return rows;
  }

  #rankAfter(before: Row, score: number, position: number): number {
    if (this.#ranks !== "ordinal" && before.score === score) return before.rank;
    return this.#ranks === "dense" ? before.rank + 1 : position + 1;
  }
}

const rowCount = (option: string, given: number): number => checkWholeNumber(option, given, { min: 1, max: MOST_ROWS });

/** @throws {InvalidArgumentError} for what is neither text of 1 to 512 characters nor a whole number. */
export const checkMember = (where: string, member: Id): string => idText(`${where}: a member`, member);

/** As Redis reads it. @throws {InvalidArgumentError} for `NaN`, and for a `bigint` that would be rounded. */
export function writeScore(where: string, score: number | bigint): string {
  if (typeof score === "bigint") {
    if (BigInt(Number.isFinite(Number(score)) ? Number(score) : 0) === score) return String(Number(score));
    throw new InvalidArgumentError(`${where}: a score is a double, and ${score} is not; the nearest would be another`);
  }
  if (typeof score !== "number" || Number.isNaN(score))
    throw new InvalidArgumentError(`${where}: a score must be a number, got ${kindOf(score)}`);
  return Number.isFinite(score) ? String(score) : score > 0 ? "inf" : "-inf";
}

export const readScore = (text: string): number =>
  text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
