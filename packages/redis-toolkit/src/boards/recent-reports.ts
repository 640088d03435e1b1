import type { Clock } from "@hotset/core";
import type { RedisConnection } from "../client/contract.ts";
import type { RedisView } from "../index.ts";
import { moduleOf } from "../module/module.ts";

/** The oldest is forgotten first: then its member is reported once more than needed. */
const MOST_REMEMBERED = 10_000;

/** Until when a member of a key needs no report, by `clock.now()`. Keys and members hold any character. */
const reports = new WeakMap<RedisConnection, Map<string, number>>();

/** Members that this process has reported within `throttle`. */
export class RecentReports {
  readonly #until: Map<string, number>;
  readonly #clock: Clock;
  readonly #key: string;

  constructor(redis: RedisView, key: string) {
    const { clock, connection, space } = moduleOf(redis);
    let until = reports.get(connection);
    if (until === undefined) reports.set(connection, (until = new Map()));
    this.#until = until;
    this.#clock = clock;
    this.#key = space.inside(key);
  }

  has(member: string): boolean {
    const until = this.#until.get(this.#id(member));
    return until !== undefined && this.#clock.now() < until;
  }

  add(member: string, lifeMs: number): void {
    this.delete(member);
    this.#until.set(this.#id(member), this.#clock.now() + lifeMs);
    if (this.#until.size > MOST_REMEMBERED)
      for (const oldest of this.#until.keys()) return void this.#until.delete(oldest);
  }

  delete(member: string): void {
    this.#until.delete(this.#id(member));
  }

  /** All members of the key. */
  deleteAll(): void {
    for (const id of this.#until.keys()) if (id.startsWith(this.#id(""))) this.#until.delete(id);
  }

  #id(member: string): string {
    return `${this.#key.length}:${this.#key}${member}`;
  }
}
