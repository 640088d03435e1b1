import type { GetOrSetOptions, LoadContext, Namespace, Served } from "@hotset/core";
import { getOrSetAndJoined, type Joined, IN_WORKER } from "@hotset/core/internal";
import { forwarded } from "./answer.ts";
import type { Accepts } from "./ask.ts";
import { Crew, type Running } from "./followers.ts";
import { carriesOwn } from "./load-request.ts";
import { ignore, signalOf } from "./messages.ts";
import { NewerAnswers } from "./newer-answers.ts";
import type { Plan } from "./options.ts";
import type { OriginLoads } from "./origin-loads.ts";
import { SharedBody } from "./shared-body.ts";
import type { Shelf } from "./shelf.ts";
import type { Meter } from "./stats.ts";
import type { Visit } from "./visit.ts";
import { type Deliver, Hit, LateLoadError, type Outcome, Wait } from "./wait.ts";

type Writable<T> = { -readonly [K in keyof T]: T[K] };

type Asked = ReturnType<typeof getOrSetAndJoined>;

/**
 * The calls: one `getOrSet` each, whose loader is a request to the origin. The caller whose load it is gets the response
 * with its head, and callers in this process read along; what is stored is known at the end of the body.
 */
export class Loads {
  /** The crew of each flight, by the loader of the flight. */
  readonly #crews = new WeakMap<object, Crew>();
  readonly #namespace: Namespace;
  readonly #plan: Plan;
  readonly #shelf: Shelf;
  readonly #origin: OriginLoads;
  readonly #meter: Meter;
  /** Answers of loads that were asked for although there is a copy. */
  readonly newer = new NewerAnswers();

  constructor(namespace: Namespace, plan: Plan, shelf: Shelf, origin: OriginLoads, meter: Meter) {
    this.#namespace = namespace;
    this.#plan = plan;
    this.#shelf = shelf;
    this.#origin = origin;
    this.#meter = meter;
  }

  /** Calls `getOrSet` for `visit.key`: with a hit in memory, or with what answers this call first. */
  fetch(visit: Visit, accepts: Accepts): Hit | Promise<Outcome> {
    let served: Served | undefined;
    let made: Wait | undefined;
    // A hit needs none, and a load may begin within the call.
    const waiting = (): Wait => (made ??= new Wait());
    const lead = (ctx: LoadContext): unknown => this.#lead(visit, ctx, waiting(), this.#crewOf(lead));
    const options = this.#optionsOf(visit, accepts, (each) => (served = each));
    const ask = (): Asked => getOrSetAndJoined(this.#namespace, visit.key, lead, options);
    const first = ask();
    // From memory: it was served within the call.
    if (served?.status === "hit") return new Hit(first.answer, served);
    const wait = waiting();
    const ended = this.#settle(visit, wait, first, { ask, served: () => served });
    const outcome = wait.outcome.promise;
    if (accepts === "any") return outcome;
    return outcome.then((newest) => {
      this.newer.begin(visit.key, Promise.allSettled([ended, wait.loading]));
      return newest;
    });
  }

  #optionsOf(visit: Visit, accepts: Accepts, onServed: (served: Served) => void): GetOrSetOptions {
    const { errorBackoffMs, finishesAlone, lendsOwn, longestLoadMs } = this.#plan;
    const options: Writable<GetOrSetOptions> = {
      loadTimeout: longestLoadMs,
      // A request to the origin is that of a client, and its response a stream.
      verify: false,
      // A load that failed with fields of one client's choice gives no reason to spare the origin others.
      errorBackoff: lendsOwn && carriesOwn(visit, this.#plan) ? 0 : errorBackoffMs,
      onServed,
    };
    if (accepts === "new" || (accepts === "any" && this.newer.has(visit.key))) options.maxAge = 0;
    if (accepts === "later") options.forceRefresh = true;
    if (!finishesAlone) options.signal = signalOf(visit.call);
    return options;
  }

  #lead(visit: Visit, ctx: LoadContext, wait: Wait, crew: Crew): unknown {
    const loading = wait.lead(ctx, crew, (takers) => this.#origin.run(visit, ctx, takers));
    visit.call.waitUntil?.(Promise.resolve(loading).catch(ignore));
    return loading;
  }

  /** Gives the call its outcome, unless a load has or will: its own, or one that it joined. Rejects never. */
  async #settle(
    visit: Visit,
    wait: Wait,
    first: Asked,
    { ask, served }: { readonly ask: () => Asked; readonly served: () => Served | undefined },
  ): Promise<void> {
    let asked = first;
    let late: unknown;
    for (;;) {
      this.#join(visit, wait, asked.joined);
      try {
        const value = await asked.answer;
        if (wait.isLate) return;
        wait.resolve({ kind: "found", value, served: served() });
        if (wait.isLed && visit.key === visit.primary) void this.#shelf.settle(visit, value);
        return;
      } catch (error) {
        if (wait.isLate || wait.hasAnswer) return;
        const isAborted = signalOf(visit.call)?.aborted === true;
        // An error that is remembered is not new.
        if (!(error instanceof LateLoadError) || error === late || isAborted) {
          wait.reject(error);
          return;
        }
        // The first of those that joined loads again, and the others join that.
        late = error;
        asked = ask();
      }
    }
  }

  #crewOf(load: object): Crew {
    let crew = this.#crews.get(load);
    if (crew === undefined) this.#crews.set(load, (crew = new Crew()));
    return crew;
  }

  /** Follows the load that the call has just joined, until it is answered or its client leaves. */
  #join(visit: Visit, wait: Wait, joined: Joined | undefined): void {
    // After an invalidation, which may have been of a tag that its response names, it waits for the end of the load.
    // A body ends with the request of a worker that reads it.
    if (joined?.load === undefined || joined.isLate || IN_WORKER) return;
    const signal = signalOf(visit.call);
    const leave = this.#crewOf(joined.load).follow({
      visit,
      take: (running) => {
        const isTaken = this.#readAlong(visit, running, wait.outcome.resolve);
        if (isTaken) wait.answered();
        return isTaken;
      },
      refused: (reason) => {
        wait.answered();
        wait.outcome.resolve(this.#origin.ownRun(visit, reason).then((response) => ({ kind: "answer", response })));
      },
    });
    const leaves = (): void => {
      leave();
      signal?.removeEventListener("abort", leaves);
    };
    signal?.addEventListener("abort", leaves, { once: true });
    wait.follows(leaves);
  }

  #readAlong(visit: Visit, running: Running, deliver: Deliver): boolean {
    const body = running.body instanceof SharedBody ? running.body.read() : running.body;
    if (body === undefined) return false;
    const { status, statusText, fields, ageMs } = running;
    const response = forwarded(visit, { status, statusText, fields, body }, ageMs, {
      forward: "uri-miss",
      collapsed: true,
    });
    this.#meter.answered("collapsed", visit, response.status);
    deliver({ kind: "answer", response });
    return true;
  }
}
