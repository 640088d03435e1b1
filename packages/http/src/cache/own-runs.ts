import type { NotStored } from "../semantics/storing.ts";
import { isShaped } from "./load-request.ts";
import type { Plan } from "./options.ts";
import { digest, type Visit } from "./visit.ts";

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
  readonly #plan: Plan;
  /** So that no client can choose URLs whose names are equal. Made late: workers draw none before a request. */
  #salt: string | undefined;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /** Why this request runs alone at present; `undefined` if it does not. */
  reasonFor(visit: Visit): NotStored | undefined {
    if (this.#runs.size === 0) return undefined;
    const run = this.#runs.get(this.#nameOf(visit));
    if (run === undefined || this.#plan.clock.now() >= run.untilAt) return undefined;
    return isShaped(visit, this.#plan) ? run.reason : undefined;
  }

  note(visit: Visit, reason: NotStored): void {
    const name = this.#nameOf(visit);
    const times = (this.#runs.get(name)?.times ?? 0) + 1;
    this.#runs.delete(name);
    this.#runs.set(name, { reason, untilAt: this.#plan.clock.now() + LASTS_MS, times });
    if (this.#runs.size > MOST_URLS) this.#runs.delete(this.#runs.keys().next().value!);
  }

  /** A response to one client could be stored: the next request loads for all. */
  doubt(visit: Visit): void {
    const run = this.#runs.get(this.#nameOf(visit));
    if (run === undefined || run.times >= MOST_DOUBTS) return;
    // Others wait for the same load, and would fail in turn.
    const laterMs = run.reason === "failed" ? FAILED_MS : 0;
    run.untilAt = Math.min(run.untilAt, this.#plan.clock.now() + laterMs);
  }

  forget(visit: Visit): void {
    if (this.#runs.size > 0) this.#runs.delete(this.#nameOf(visit));
  }

  /** What a load with these fields of its client says holds for others with them, whose load is without the rest. */
  #nameOf({ key, request }: Visit): string {
    const { safe, lendsOwn } = this.#plan;
    const name = lendsOwn ? `${key} ${JSON.stringify(request.fields.filter(([field]) => safe!.has(field)))}` : key;
    if (name.length < LONGEST_NAME) return name;
    this.#salt ??= crypto.randomUUID();
    return digest(`${this.#salt} ${name}`);
  }
}

const LASTS_MS = 60_000;
const FAILED_MS = 1_000;
const MOST_URLS = 10_000;
const LONGEST_NAME = 200;
const MOST_DOUBTS = 3;
