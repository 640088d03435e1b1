import { BackendUnavailableError, type Clock } from "@hotset/core";
import { Deadline, Deadlines, inNoCall } from "@hotset/core/internal";
import { StandstillError } from "./standstill.ts";
import type { Statement } from "./statements.ts";

/** Parameters of one call, or the columns of its answer. */
export type Row = readonly unknown[];

/** Calls of one statement, in the order in which it is to carry them out. */
export interface Sent {
  readonly statement: Statement;
  readonly rows: readonly Row[];
  onStart(abandon: () => void): void;
  /**
   * Asked before they are sent.
   *
   * @throws {StandstillError} for changes of a process that stood still meanwhile.
   */
  check(): void;
}
export type Send = (sent: Sent) => Promise<readonly Row[]>;

export interface CallLimits {
  readonly label: string;
  readonly deadlineMs: number;
  /** Number of statements that run at the same time. */
  readonly connections: number;
}

/**
 * Calls of one kind that are made in one turn of the event loop, or wait for a connection, are one statement: one trip
 * and one commit for up to 100 of them, or for all where they are small and lock nothing.
 *
 *     called ──the turn ends, a connection is free──▶ sent ──▶ answered
 *        └──────────── deadline ───────────┴─────────────────▶ abandoned
 *
 * While a question has just been sent, further ones of its kind wait for its answer, for 2 ms at most: a few large
 * statements cost less than many small ones. Changes do not wait, because one that waits for a lock would hold others
 * up.
 *
 * A call that waits too long is never sent. A statement that takes too long is abandoned with all of its calls.
 */
export class Calls {
  readonly #limits: CallLimits;
  readonly #send: Send;
  readonly #deadlines: Deadlines;
  readonly #clock: Clock;
  readonly #waiting = new Map<Statement, Set<Call>>();
  #running = 0;
  /** The statement of each kind that was sent last, while it runs. */
  readonly #last = new Map<Statement, { readonly sentAt: number }>();
  #isHolding = false;
  #isDue = false;
  #onIdle: (() => void) | undefined;

  constructor(limits: CallLimits, clock: Clock, send: Send) {
    this.#limits = limits;
    this.#send = send;
    this.#clock = clock;
    this.#deadlines = Deadlines.of(clock, limits.deadlineMs);
  }

  /** @returns an answer for each row. */
  make(statement: Statement, rows: readonly Row[], order?: Buffer): Promise<readonly Row[]> {
    return new Promise((resolve, reject) => {
      const call = new Call(rows, order, resolve, reject, () => this.#drop(statement, call));
      call.askedOn = this.#epochMs();
      const calls = this.#waiting.get(statement);
      if (calls === undefined) this.#waiting.set(statement, new Set([call]));
      else calls.add(call);
      this.#deadlines.start(call);
      if (!this.#isDue) {
        this.#isDue = true;
        inNoCall(() => setImmediate(() => this.#begin()));
      }
    });
  }

  /** Resolves when all calls are answered, by their deadline. No call may be made after it. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      this.#begin();
    });
  }

  #begin(): void {
    this.#isDue = false;
    for (const [statement, calls] of this.#waiting) {
      for (const call of calls) {
        if (!this.#isOutdated(statement, call.askedOn)) break;
        this.#deadlines.end(call);
        calls.delete(call);
        call.reject(new StandstillError(this.#limits.label, statement.operation));
      }
      while (calls.size > 0 && this.#running < this.#limits.connections && !this.#holdsBack(statement, calls))
        void this.#run(statement, take(calls, statement.mostCalls));
      if (calls.size === 0) this.#waiting.delete(statement);
    }
    if (this.#running === 0) this.#onIdle?.();
  }

  /**
   * Deadlines do not pass while a process stands still, but others have written meanwhile: a change from before would
   * come after theirs.
   */
  #isOutdated({ isChange }: Statement, sinceOn: number): boolean {
    return isChange && this.#epochMs() - sinceOn > this.#limits.deadlineMs + STANDSTILL_MS;
  }

  #epochMs(): number {
    return this.#clock.epochMs?.() ?? this.#clock.now();
  }

  #holdsBack(statement: Statement, calls: ReadonlySet<Call>): boolean {
    const last = statement.isChange ? undefined : this.#last.get(statement);
    if (last === undefined || this.#clock.now() - last.sentAt >= MOST_HOLD_MS) return false;
    let waiting = 0;
    for (const { rows } of calls) if ((waiting += rows.length) >= statement.mostCalls) return false;
    if (!this.#isHolding) {
      this.#isHolding = true;
      this.#clock.schedule(() => {
        this.#isHolding = false;
        this.#begin();
      }, MOST_HOLD_MS);
    }
    return true;
  }

  async #run(statement: Statement, calls: readonly Call[]): Promise<void> {
    this.#running += 1;
    const own = { sentAt: this.#clock.now() };
    this.#last.set(statement, own);
    let isOver = false;
    const abandoned = new Promise<never>((_, reject) => {
      const onPass = (): void => {
        if (isOver) return;
        isOver = true;
        reject(this.#late(statement, calls, { maybeExecuted: true }));
      };
      for (const call of calls) call.onPass = onPass;
    });
    let abandon = (): void => undefined;
    try {
      const given = calls.length === 1 ? calls[0]!.rows : calls.flatMap((call) => call.rows);
      const begunOn = this.#epochMs();
      const sending = this.#send({
        statement,
        rows: given,
        onStart: (how) => (abandon = how),
        check: () => {
          if (this.#isOutdated(statement, begunOn)) throw new StandstillError(this.#limits.label, statement.operation);
        },
      });
      const answers = await Promise.race([sending, abandoned]);
      let at = 0;
      for (const call of calls) {
        this.#deadlines.end(call);
        call.resolve(answers.slice(at, (at += call.rows.length)));
      }
    } catch (error) {
      abandon();
      for (const call of calls) {
        this.#deadlines.end(call);
        call.reject(error);
      }
    } finally {
      isOver = true;
      this.#running -= 1;
      if (this.#last.get(statement) === own) this.#last.delete(statement);
      this.#begin();
    }
  }

  /** A call whose deadline passed before it was sent. */
  #drop(statement: Statement, call: Call): void {
    this.#waiting.get(statement)?.delete(call);
    call.reject(this.#late(statement, [call], { maybeExecuted: false }));
  }

  #late({ operation }: Statement, calls: readonly Call[], how: { readonly maybeExecuted: boolean }): Error {
    const { label, deadlineMs } = this.#limits;
    const bytes = calls.reduce((sum, call) => sum + call.bytes, 0);
    const advice = bytes > MOST_BYTES ? `; it has ${(bytes / 1e6).toFixed(1)} MB: raise deadline` : "";
    return new BackendUnavailableError(`${label}: ${operation} was not answered within ${deadlineMs} ms${advice}`, {
      tier: label,
      operation,
      ...how,
    });
  }
}

const MOST_HOLD_MS = 2;
const STANDSTILL_MS = 2_000;
/** A few long values would make a long statement. */
const MOST_BYTES = 2 ** 20;

function take(calls: Set<Call>, most: number): readonly Call[] {
  const taken: Call[] = [];
  let [rows, bytes] = [0, 0];
  for (const call of calls) {
    rows += call.rows.length;
    bytes += call.bytes;
    if (taken.length > 0 && (rows > most || bytes > MOST_BYTES)) break;
    taken.push(call);
    calls.delete(call);
  }
  // All processes lock keys in one order, so that none waits for another that waits for it.
  return taken.every(({ order }) => order !== undefined)
    ? taken.toSorted((a, b) => Buffer.compare(a.order!, b.order!))
    : taken;
}

/** One call of the backend. */
class Call extends Deadline {
  readonly rows: readonly Row[];
  readonly order: Buffer | undefined;
  /** By the wall clock, which moves on while the machine is suspended. */
  askedOn = 0;
  readonly resolve: (rows: readonly Row[]) => void;
  readonly reject: (error: unknown) => void;
  /** Changes when it is sent. */
  onPass: () => void;

  constructor(
    rows: readonly Row[],
    order: Buffer | undefined,
    resolve: (rows: readonly Row[]) => void,
    reject: (error: unknown) => void,
    onPass: () => void,
  ) {
    super();
    this.rows = rows;
    this.order = order;
    this.resolve = resolve;
    this.reject = reject;
    this.onPass = onPass;
  }

  get bytes(): number {
    let bytes = 0;
    for (const row of this.rows) for (const value of row) if (Buffer.isBuffer(value)) bytes += value.length;
    return bytes;
  }

  override pass(): void {
    this.onPass();
  }
}
