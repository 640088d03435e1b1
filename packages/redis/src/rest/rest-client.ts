import { BackendUnavailableError, ConfigurationError, type Clock } from "@hotset/core";
import { IN_WORKER, scheduleRunning } from "@hotset/core/internal";
import type { Args, RawClient, SendOptions } from "../connection/command-queue.ts";
import { afterThisTurn } from "../primitives/after-this-turn.ts";
import { lost } from "../primitives/faults.ts";
import { conceal } from "../primitives/secrets.ts";
import { textReply } from "../primitives/text-reply.ts";
import { serverMsOf } from "../store/server-clock.ts";
import { restCommand, scriptWords, together, type RestCommand } from "./rest-commands.ts";
import { decoded, repliesOf, type RestReply } from "./rest-reply.ts";
import { MARK, RestScripts, TOO_LATE, type RestScript } from "./rest-scripts.ts";

export interface RestClientSettings {
  /** Without a slash at its end. */
  readonly url: string;
  readonly token: string;
  readonly fetch: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  /** The most bytes of one request. */
  readonly maxRequestBytes: number;
  readonly clock: Clock;
  /** After this time a request is given up. */
  readonly deadlineMs: number;
  /** Called after each request: with what failed, if it did not reach Redis. */
  readonly ended: (error: BackendUnavailableError | undefined) => void;
}

/** A command that waits for its request, or for the answer. */
interface Pending {
  readonly command: RestCommand;
  /** When it was called, by the clock. */
  readonly at: number;
  /** When its caller gives it up, by the clock: Redis must not run it later. `undefined` for a command of the cache. */
  readonly expiresAt?: number | undefined;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** One command of a request, which carries one of ours or, as a script, several plain ones. */
interface Part {
  readonly of: readonly Pending[];
  readonly json: string;
  /** A script that the service may not know. */
  readonly script: Extract<RestCommand, { kind: "script" }> | undefined;
}

/** What is known of the clock of the server: it had reached `serverMs` at the instant `at` of our clock. */
interface ServerTime {
  readonly serverMs: number;
  readonly at: number;
}

/** How long what is known of that clock counts. Clocks drift by less than 500 ppm. */
const CLOCK_COUNTS_MS = 60_000;

/** The most plain commands of one script: Redis does nothing else meanwhile. */
const MAX_PLAIN = 500;

/** The most commands of one request. */
const MAX_PARTS = 200;

/**
 * Commands as requests: a POST of JSON, one command to the URL itself and several to `/pipeline`.
 *
 * One request is under way at a time, so commands arrive in the order of their calls; those that are called meanwhile
 * go together in the next one. In workerd a request of a client must not wait for that of another client, so there the
 * calls of each turn are a request of their own.
 *
 * Nothing is sent twice. The service answers that it does not know a script, and has executed nothing then: it gets the
 * text, behind the others of the request; or that it came too late, of a command whose caller still waits: it gets a
 * new bound.
 *
 * A request that was given up may still arrive. So a command of the toolkit, and a write of the cache that compares
 * nothing, carries the instant up to which it may run, by the clock of the server: its caller has not given it up by
 * then.
 */
export class RestClient implements RawClient {
  readonly #settings: RestClientSettings;
  readonly #scripts = new RestScripts();
  readonly #underWay = new Set<AbortController>();
  #waiting: Pending[] = [];
  #isBusy = false;
  #isScheduled = false;
  #time: ServerTime | undefined;
  /** Sent with each request, so that no replica which is behind answers it. */
  #syncToken = "";

  constructor(settings: RestClientSettings) {
    this.#settings = settings;
  }

  sendCommand(args: Args, options?: SendOptions): Promise<unknown> {
    return this.#begin(() => restCommand(args, this.#scripts), options);
  }

  sendScript(args: Args, text: string, options?: SendOptions): Promise<unknown> {
    return this.#begin(() => restCommand(args, this.#scripts, text), options);
  }

  /** @param options see {@link SendOptions}: absent for commands of the cache */
  #begin(make: () => RestCommand, options: SendOptions | undefined): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { clock, deadlineMs } = this.#settings;
      const at = clock.now();
      const expiresAt = options && at + Math.min(options.leftMs ?? options.deadlineMs ?? deadlineMs, deadlineMs);
      const settle = (reply: unknown): void => resolve(textReply(reply, options?.typeMapping));
      this.#waiting.push({ command: make(), at, expiresAt, resolve: settle, reject });
      if (this.#isScheduled || (this.#isBusy && !IN_WORKER)) return;
      this.#isScheduled = true;
      afterThisTurn(() => this.#send());
    });
  }

  /** Gives up the requests that are under way. */
  close(): void {
    for (const request of this.#underWay) request.abort();
  }

  #send(): void {
    this.#isScheduled = false;
    const all = this.#waiting;
    this.#waiting = [];
    this.#isBusy = true;
    void this.#sendAll(all).then(() => {
      this.#isBusy = false;
      if (this.#waiting.length > 0 && !this.#isScheduled) this.#send();
    });
  }

  /** Settles each of them. @param attempt in which those that Redis was reached too late by are sent once more */
  async #sendAll(given: readonly Pending[], attempt: "first" | "second" = "first"): Promise<void> {
    const all = given.filter((one) => !this.#isGivenUp(one));
    try {
      await this.#nameScripts(all);
      if (all.some(isTimed) && this.#serverMsAt(this.#settings.clock.now()) === undefined) await this.#askForTime();
      const late: Pending[] = [];
      for (const parts of this.#requestsOf(all)) late.push(...(await this.#exchange(parts)));
      if (late.length === 0) return;
      // By a clock that has stood still, as while this process was frozen: the callers wait all the same.
      this.#time = undefined;
      if (attempt === "first")
        return await this.#sendAll(
          late.map((one) => this.#bounded(one)),
          "second",
        );
      for (const { reject } of late) reject(new Error(TOO_LATE));
    } catch (error) {
      for (const { reject } of all) reject(error);
    }
  }

  /** A command of the cache is given up, too: sent again after that it would write over what others changed since. */
  #bounded(one: Pending): Pending {
    return { ...one, expiresAt: one.expiresAt ?? one.at + this.#settings.deadlineMs };
  }

  /** Whether its caller has given it up while it waited here. It is rejected then, and not sent. */
  #isGivenUp({ expiresAt = Infinity, reject }: Pending): boolean {
    if (this.#settings.clock.now() < expiresAt) return false;
    reject(
      new BackendUnavailableError(
        `Redis over HTTP at ${this.address} was not asked in time: requests before it took as long`,
        {
          operation: "request",
          maybeExecuted: false,
        },
      ),
    );
    return true;
  }

  async #nameScripts(all: readonly Pending[]): Promise<void> {
    const scripts = new Set<RestScript>([this.#scripts.plain]);
    for (const { command } of all) if (command.kind === "script") scripts.add(command.script);
    for (const script of scripts) if (script.sha === undefined) await this.#scripts.name(script);
  }

  /** An instant of our clock by that of the server, at the earliest. `undefined` while that is not known. */
  #serverMsAt(at: number): number | undefined {
    const known = this.#time;
    if (known === undefined || Math.abs(this.#settings.clock.now() - known.at) > CLOCK_COUNTS_MS) return undefined;
    return known.serverMs + at - known.at;
  }

  /** Where it fails, what was to be sent after it is not. */
  async #askForTime(): Promise<void> {
    const asked = new Promise<unknown>((resolve, reject) => {
      const command = restCommand(["TIME"], this.#scripts);
      const [parts] = this.#requestsOf([{ command, at: this.#settings.clock.now(), resolve, reject }]);
      void this.#exchange(parts!);
    });
    try {
      await asked;
    } catch (error) {
      if (!(error instanceof BackendUnavailableError)) throw error;
      const { message, retryable, operation = "request" } = error;
      throw new BackendUnavailableError(message, { operation, retryable, maybeExecuted: false, cause: error });
    }
  }

  /** In order; neighbours that are plain become one script. */
  *#requestsOf(all: readonly Pending[]): Iterable<readonly Part[]> {
    const { maxRequestBytes } = this.#settings;
    let parts: Part[] = [];
    let bytes = 2;
    for (const { part, size } of this.#partsOf(groupsOf(all))) {
      if (parts.length === MAX_PARTS || (parts.length > 0 && bytes + size > maxRequestBytes)) {
        yield parts;
        parts = [];
        bytes = 2;
      }
      parts.push(part);
      bytes += size;
    }
    if (parts.length > 0) yield parts;
  }

  /**
   * Parts with their bytes. A group that is too large is halved; one command that is too large is refused. Each is made
   * when its request is: it has a bound in time.
   */
  *#partsOf(groups: readonly (readonly Pending[])[]): Iterable<{ readonly part: Part; readonly size: number }> {
    const { maxRequestBytes } = this.#settings;
    for (const group of groups) {
      const part = this.#partOf(group);
      const size = byteLength(part.json) + 1;
      const half = group.length >> 1;
      if (size + 2 <= maxRequestBytes) yield { part, size };
      else if (half > 0) yield* this.#partsOf([group.slice(0, half), group.slice(half)]);
      else
        group[0]!.reject(
          new Error(`ERR a request of ${size} bytes is larger than maxRequestBytes, ${maxRequestBytes}`),
        );
    }
  }

  #partOf(of: readonly Pending[], by: "hash" | "text" = "hash"): Part {
    const [{ command }] = of as readonly [Pending];
    if (command.kind === "bare") return { of, json: JSON.stringify(command.words), script: undefined };
    const script =
      command.kind === "script"
        ? command
        : ({
            kind: "script",
            ...together(
              of.map((one) => one.command as never),
              this.#scripts.plain,
            ),
          } as const);
    const limit = of.some(isTimed) ? this.#serverMsAt(this.#lastInstantOf(of)) : undefined;
    const words = scriptWords(script, limit === undefined ? "" : String(Math.floor(limit)), by);
    return { of, json: JSON.stringify(words), script };
  }

  /** Up to when a part that is sent now may run, by the clock: the first of its callers gives up then. */
  #lastInstantOf(of: readonly Pending[]): number {
    const { clock, deadlineMs } = this.#settings;
    // A command of the cache counts from its request, as nothing else is sent before that has ended. In workerd it is.
    const endOf = ({ at, expiresAt }: Pending): number => expiresAt ?? (IN_WORKER ? at + deadlineMs : Infinity);
    return Math.min(clock.now() + deadlineMs, ...of.map(endOf));
  }

  /**
   * Settles the commands of one request, but for those that Redis was reached too late by.
   *
   * @param by how it names scripts.
   * @returns these
   */
  async #exchange(parts: readonly Part[], by: "hash" | "text" = "hash"): Promise<readonly Pending[]> {
    let replies: readonly RestReply[];
    try {
      replies = await this.#request(parts);
    } catch (error) {
      const failure = this.#failure(error);
      this.#settings.ended(failure);
      for (const { of } of parts) for (const { reject } of of) reject(failure);
      return [];
    }
    this.#settings.ended(undefined);
    const unknown: (readonly Pending[])[] = [];
    const late: Pending[] = [];
    parts.forEach((part, i) => {
      const reply = replies[i]!;
      const refusal = part.script !== undefined && "error" in reply ? reply.error.message : "";
      if (by === "hash" && refusal.startsWith("NOSCRIPT")) unknown.push(part.of);
      else if (refusal.startsWith(TOO_LATE)) late.push(...part.of);
      else this.#settle(part, reply);
    });
    // Each alone: their texts are long.
    for (const of of unknown) late.push(...(await this.#exchange([this.#partOf(of, "text")], "text")));
    return late;
  }

  async #request(parts: readonly Part[]): Promise<readonly RestReply[]> {
    const { url, token, clock, deadlineMs, fetch: given } = this.#settings;
    const aborts = new AbortController();
    this.#underWay.add(aborts);
    const cancel = scheduleRunning(clock, deadlineMs, () =>
      aborts.abort(new Error(`no answer within ${deadlineMs} ms`)),
    );
    const isOne = parts.length === 1;
    const init: RequestInit = {
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "upstash-encoding": "base64",
        "upstash-sync-token": this.#syncToken,
      },
      body: isOne ? parts[0]!.json : `[${parts.map(({ json }) => json).join()}]`,
      redirect: "manual",
      signal: aborts.signal,
      // Frameworks may answer a fetch from a cache of theirs. workerd has none, and no such option before late 2024.
      ...(!IN_WORKER && { cache: "no-store" }),
    };
    try {
      const response = await (given ?? globalThis.fetch)(isOne ? url : `${url}/pipeline`, init);
      const replies = await repliesOf(response, parts.length, this.address);
      this.#syncToken = response.headers.get("upstash-sync-token") ?? this.#syncToken;
      return replies;
    } catch (error) {
      throw aborts.signal.aborted ? aborts.signal.reason : error;
    } finally {
      cancel();
      this.#underWay.delete(aborts);
    }
  }

  /** For messages: host, and port if it is not that of the scheme. */
  get address(): string {
    return new URL(this.#settings.url).host;
  }

  #failure(error: unknown): BackendUnavailableError {
    if (error instanceof BackendUnavailableError) return error;
    const reason = error instanceof Error ? error : new Error(String(error));
    conceal(reason, [this.#settings.token]);
    return lost(this.address, reason);
  }

  #settle({ of, script }: Part, reply: RestReply): void {
    const rejectAll = (error: unknown): void => {
      for (const { reject } of of) reject(error);
    };
    if ("error" in reply) return rejectAll(reply.error);
    if (script === undefined) return of[0]!.resolve(decoded(reply.result));
    const whole = reply.result;
    if (!Array.isArray(whole) || whole.length !== 4) return rejectAll(new BackendUnavailableError(UNREADABLE));
    if (whole[3] === MARK) return rejectAll(new ConfigurationError(NO_BASE64));
    const [result, seconds, micros] = decoded(whole) as readonly [unknown, unknown, unknown];
    this.#time = { serverMs: serverMsOf([seconds, micros]), at: this.#settings.clock.now() };
    if (script.script !== this.#scripts.plain) return of[0]!.resolve(result);
    const [replies, errors] = result as readonly [readonly unknown[], readonly unknown[]];
    const failed = new Map<number, Error>();
    for (let i = 0; i < errors.length; i += 2) failed.set(Number(errors[i]) - 1, new Error(String(errors[i + 1])));
    of.forEach(({ resolve, reject }, i) => (failed.has(i) ? reject(failed.get(i)) : resolve(replies[i])));
  }
}

/** Whether it must not run late. A command that goes as it is has no room for a bound. */
const isTimed = ({ command, expiresAt }: Pending): boolean =>
  command.kind !== "bare" && (expiresAt !== undefined || (command.kind === "script" && command.script.isTimed));

/** Neighbours that go into one script, and every other command alone. */
function groupsOf(all: readonly Pending[]): readonly (readonly Pending[])[] {
  const groups: Pending[][] = [];
  for (const one of all) {
    const last = groups.at(-1);
    const joins = one.command.kind === "plain" && last?.[0]?.command.kind === "plain" && last.length < MAX_PLAIN;
    if (joins) last.push(one);
    else groups.push([one]);
  }
  return groups;
}

const ENCODER = new TextEncoder();
const byteLength = (text: string): number => ENCODER.encode(text).length;

const UNREADABLE = "Redis over HTTP gave a reply that its script did not make";
const NO_BASE64 =
  "redis: the service at url gives replies as text, in which bytes are lost; use one that knows Upstash-Encoding: base64";
