import type { Clock } from "@hotset/core";
import type { NotStored } from "../semantics/storing.ts";
import { digest } from "./visit.ts";

interface OwnRun {
  readonly reason: NotStored;
  untilAt: number;
  /** Loads for all in succession that gave nothing to store. */
  readonly times: number;
}

/**
 * The URLs for which a load without the fields of its client gave nothing that may be shared. For a minute each client
 * asks the origin with all of its fields instead, once. A response to one that could be stored ends that; not
 * where loads for all have failed again after it, so that a page which differs in this is not loaded twice each time.
 */
export class OwnRuns {
  readonly #runs = new Map<string, OwnRun>();
  readonly #clock: Clock;
  /** So that no client can choose URLs whose names are equal. Made late: workers draw none before a request. */
  #salt: string | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Why requests for this URL run alone; `undefined` where they do not. */
  reasonFor(url: string): NotStored | undefined {
    if (this.#runs.size === 0) return undefined;
    const run = this.#runs.get(this.#nameOf(url));
    return run !== undefined && this.#clock.now() < run.untilAt ? run.reason : undefined;
  }

  note(url: string, reason: NotStored): void {
    const name = this.#nameOf(url);
    const times = (this.#runs.get(name)?.times ?? 0) + 1;
    this.#runs.delete(name);
    this.#runs.set(name, { reason, untilAt: this.#clock.now() + LASTS_MS, times });
    if (this.#runs.size > MOST_URLS) this.#runs.delete(this.#runs.keys().next().value!);
  }

  /** A response to one client could be stored: the next request loads for all. */
  doubt(url: string): void {
    const run = this.#runs.get(this.#nameOf(url));
    if (run === undefined || run.times >= MOST_DOUBTS) return;
    // Others wait for the same load, and would fail in turn.
    const laterMs = run.reason === "failed" ? FAILED_MS : 0;
    run.untilAt = Math.min(run.untilAt, this.#clock.now() + laterMs);
  }

  forget(url: string): void {
    if (this.#runs.size > 0) this.#runs.delete(this.#nameOf(url));
  }

  #nameOf(url: string): string {
    if (url.length < LONGEST_NAME) return url;
    this.#salt ??= crypto.randomUUID();
    return digest(`${this.#salt} ${url}`);
  }
}

const LASTS_MS = 60_000;
const FAILED_MS = 1_000;
const MOST_URLS = 10_000;
const LONGEST_NAME = 200;
const MOST_DOUBTS = 3;
