import type { Link } from "../connection/link.ts";
import { ignore } from "../primitives/ignore.ts";

/** An instant of this process, on both of its clocks. */
export interface Instant {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

interface Reply {
  readonly serverMs: number;
  readonly sent: Instant;
  readonly receivedMs: number;
  readonly connection: unknown;
}

/** How old the last reply may be before the server is asked again, in ms. */
const ASK_AFTER_MS = 1_000;

/** How long a reply counts, in ms. Clocks drift by less than 500 ppm. */
const COUNTS_FOR_MS = 10_000;

/** Epoch ms of a reply to TIME: seconds, and microseconds of the second. */
export function serverMsOf(time: unknown): number {
  const [seconds, microseconds] = (time as readonly unknown[]).map((part) => Number(String(part)));
  return seconds! * 1_000 + microseconds! / 1_000;
}

/**
 * The clock of one server, as far as replies to TIME show it: an instant that it has reached at the earliest, and one
 * at the latest. A writer of an end takes the first, a reader the second, so that no life becomes longer.
 */
export class ServerClock {
  /** The question that is under way. */
  asking: Promise<void> | undefined;
  readonly #monotonicMs: () => number;
  readonly #wallMs: () => number;
  #reply: Reply | undefined;

  constructor(monotonicMs: () => number, wallMs: () => number) {
    this.#monotonicMs = monotonicMs;
    this.#wallMs = wallMs;
  }

  /** To be taken before the question is sent. */
  instant(): Instant {
    return { monotonicMs: this.#monotonicMs(), wallMs: this.#wallMs() };
  }

  /** @param time the reply. @param connection over which it came. */
  note(time: unknown, sent: Instant, connection: unknown): void {
    this.#reply = { serverMs: serverMsOf(time), sent, receivedMs: this.#monotonicMs(), connection };
  }

  /** Whether the server should be asked again: another one may be behind another connection. */
  isDue(connection: unknown): boolean {
    return this.#age(connection) > ASK_AFTER_MS;
  }

  /** Whether the last reply counts. */
  counts(connection: unknown): boolean {
    return this.#age(connection) <= COUNTS_FOR_MS;
  }

  /** Epoch ms that the server has reached, at the earliest. There must have been a reply. */
  get earliestMs(): number {
    const { serverMs, receivedMs } = this.#reply!;
    return serverMs + this.#monotonicMs() - receivedMs;
  }

  /**
   * Epoch ms that the server has reached, at the latest. There must have been a reply. The monotonic clock stands still
   * while the machine is suspended.
   */
  get latestMs(): number {
    const { serverMs, sent } = this.#reply!;
    return serverMs + Math.max(this.#monotonicMs() - sent.monotonicMs, this.#wallMs() - sent.wallMs);
  }

  #age(connection: unknown): number {
    const reply = this.#reply;
    if (reply === undefined || reply.connection !== connection) return Infinity;
    return this.#monotonicMs() - reply.sent.monotonicMs;
  }
}

/** Asks the server of a key in Redis for its time. */
type AskForTime = (entryKey: string, note: (time: unknown) => void) => Promise<void>;

/** The clocks of the servers of a link, by part. */
export class ServerClocks {
  readonly #link: () => Link;
  readonly #wallMs: () => number;
  readonly #ask: AskForTime;
  readonly #clocks = new Map<string, ServerClock>();

  constructor(link: () => Link, wallMs: () => number, ask: AskForTime) {
    this.#link = link;
    this.#wallMs = wallMs;
    this.#ask = ask;
  }

  /** The clock of the server of a key, which is asked for the time if the last reply is too old. */
  of(entryKey: string, connection: unknown): ServerClock {
    const { parts, queue } = this.#link();
    const part = parts?.of(entryKey) ?? "";
    let clock = this.#clocks.get(part);
    if (clock === undefined) {
      const names = parts?.names() ?? [];
      for (const known of this.#clocks.keys()) if (!names.includes(known)) this.#clocks.delete(known);
      this.#clocks.set(part, (clock = new ServerClock(() => queue.clock.now(), this.#wallMs)));
    }
    if (clock.isDue(connection)) void this.ask(clock, entryKey, connection);
    return clock;
  }

  /** The time on the server of a key, at the earliest. `undefined` where it is not known. */
  earliestMs(entryKey: string): number | undefined {
    const { client } = this.#link().queue;
    if (client === undefined) return undefined;
    const clock = this.of(entryKey, client);
    return clock.counts(client) ? clock.earliestMs : undefined;
  }

  ask(clock: ServerClock, entryKey: string, connection: unknown): Promise<void> {
    if (clock.asking !== undefined) return clock.asking;
    const sent = clock.instant();
    clock.asking = this.#ask(entryKey, (time) => clock.note(time, sent, connection)).finally(() => {
      clock.asking = undefined;
    });
    clock.asking.catch(ignore);
    return clock.asking;
  }
}
