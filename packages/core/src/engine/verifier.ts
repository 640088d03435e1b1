import { epochMs } from "../contracts/clock.ts";
import type { Mismatch } from "../contracts/events.ts";
import type { Entry } from "../entry/entry.ts";
import { MARKED } from "../entry/freshness.ts";
import { entryKey, localKey } from "../entry/key.ts";
import type { Loader } from "../entry/loader.ts";
import { hasFunctions, type GetOrSetOptions } from "../entry/policy.ts";
import { inNoCall } from "../primitives/async-context.ts";
import { toMs } from "../primitives/duration.ts";
import { redacted } from "../primitives/event-port.ts";
import { newId, writerOf } from "../primitives/ids.ts";
import { loaderOfItem } from "./batch-load.ts";
import type { NamespaceContext } from "./call.ts";
import type { EngineContext } from "./context.ts";
import type { HitObserver, SampleBounds } from "./hit-observer.ts";
import { judging } from "./load.ts";
import { OwnChanges } from "./own-changes.ts";
import type { Reads } from "./reads.ts";
import { judgeMismatch } from "./verdict.ts";
import { pause, VerifiedHit, type Finding, type Hit } from "./verified-hit.ts";
import { VerifyFigures, type Outcome, type VerifiedGroup } from "./verify-figures.ts";
import type { VerifiedKey, VerifySettings } from "./verify-options.ts";

/** So long after a load failed nothing is verified: its source has enough to do. */
const REST_MS = 10_000;
const MINUTE_MS = 60_000;

/**
 * Compares a share of fresh hits with their source. A caller has its answer by then: what is compared is decided by
 * counting hits down, so that all others cost a call and a subtraction, and runs in the async context of no call, under its own
 * slots, a bounded number a minute.
 *
 *     hit ──share──▶ load ──equal──▶ same
 *                     │  └─ differs ─▶ settle ─▶ load again, is it still served? ──▶ different
 *                     └─ the entry or a tag changed, here or elsewhere ─▶ changed: says nothing
 */
export class Verifier implements HitObserver {
  readonly figures: VerifyFigures = new VerifyFigures();
  readonly #context: EngineContext;
  readonly #reads: Reads;
  readonly #own: VerifySettings;
  /** Those of a sample, while one is taken. */
  #settings: VerifySettings;
  readonly #settles: (() => Promise<void>) | undefined;
  readonly #changes = new OwnChanges();
  readonly #running = new Map<string, VerifiedHit>();
  readonly #work = new Set<Promise<void>>();
  readonly #end = new AbortController();
  /** Of this process. Made with the first value that is compared: workers allow no random numbers before a request. */
  #writer: string | undefined;
  readonly #stopListening: () => void;
  /** Hits until the next that is compared. */
  #left: number;
  /** Before it no load begins. */
  #freeAt = -Infinity;
  /** Called with each outcome, while a sample is taken. */
  #onOutcome: ((outcome: Outcome) => void) | undefined;

  constructor(context: EngineContext, reads: Reads, settings: VerifySettings, settles?: () => Promise<void>) {
    this.#context = context;
    this.#reads = reads;
    this.#own = settings;
    this.#settles = settles;
    this.#settings = settings;
    this.#left = this.#gap();
    const { events, clock, lifecycle, redactKey } = context;
    const tellsKeysApart = redactKey === undefined || redactKey("a") !== redactKey("b");
    const stop = events.invalidate.add((event) => {
      // What is reported from elsewhere need be no invalidation: entries expire, and are refreshed.
      if (event.origin !== "here") return;
      this.figures.invalidated(event.namespace);
      if (tellsKeysApart) this.#changes.add(event, clock.now());
    });
    const farewell = async (): Promise<void> => this.stop();
    lifecycle.farewells.add(farewell);
    this.#stopListening = () => {
      stop();
      lifecycle.farewells.delete(farewell);
    };
  }

  /** Ends what runs, and begins nothing more. */
  stop(): void {
    this.#left = Infinity;
    this.#onOutcome = undefined;
    this.#stopListening();
    this.#end.abort(new DOMException("the cache verifies no more", "AbortError"));
    if (this.#context.verifier === this) this.#context.verifier = undefined;
  }

  /** Resolves once nothing is compared any more. */
  async idle(): Promise<void> {
    while (this.#work.size !== 0) await Promise.all(this.#work);
  }

  groups(): readonly VerifiedGroup[] {
    return this.figures.groups(epochMs(this.#context.clock));
  }

  sample(onOutcome: (outcome: Outcome) => void, bounds: SampleBounds): () => void {
    this.#settings = { ...this.#own, ...bounds };
    this.#freeAt = Math.min(this.#freeAt, this.#context.clock.now());
    this.#onOutcome = onOutcome;
    this.#left = 1;
    return () => {
      if (this.#onOutcome !== onOutcome) return;
      this.#settings = this.#own;
      this.#onOutcome = undefined;
      this.#left = this.#gap();
    };
  }

  // ---- hits

  hit(namespace: NamespaceContext, key: string, entry: Entry, load: Loader<unknown>, options?: GetOrSetOptions): void {
    if (this.#running.size !== 0)
      this.#running.get(localKey(namespace.keySpace, key))?.joins(() => loaderOf(load, options));
    if (--this.#left > 0) return;
    if (!namespace.policy.verify || options?.verify === false) return;
    const { label } = this.#context.local!;
    this.#offer({ namespace, name: key, entry, tier: label, loadTimeoutMs: loadTimeoutOf(namespace, options) }, () =>
      loaderOf(load, options),
    );
  }

  hitOfItem(...[{ namespace, key, entry }, item, options]: Parameters<HitObserver["hitOfItem"]>): void {
    if (--this.#left > 0 || !namespace.policy.verify || options?.verify === false) return;
    const { label } = this.#context.local!;
    this.#offer({ namespace, name: key, entry, tier: label, loadTimeoutMs: loadTimeoutOf(namespace, options) }, () =>
      loaderOfItem(item.load, item),
    );
  }

  answered(...[call, entry, tier]: Parameters<HitObserver["answered"]>): void {
    const { namespace, key, load, batch, item, policy, isCurrent } = call;
    if (policy === undefined || (load === undefined && batch === undefined)) return;
    if (this.#running.size !== 0 && load !== undefined) this.#running.get(key.local)?.joins(() => load);
    if (--this.#left > 0 || !policy.verify || isCurrent === true) return;
    this.#offer({ namespace, name: key.name, entry, tier, loadTimeoutMs: policy.loadTimeoutMs }, () =>
      load === undefined ? batch!.loaderOf(item) : load,
    );
  }

  /** Compares a hit, if there is a slot and time for it. */
  #offer(
    { name, ...hit }: Omit<Hit, "key" | "load"> & { readonly name: string },
    loaderOfHit: () => Loader<unknown>,
  ): void {
    const { lifecycle, clock, waitUntil } = this.#context;
    this.#left = this.#onOutcome === undefined ? this.#gap() : 1;
    const key = entryKey(hit.namespace.keySpace, name);
    // One whose entry has changed says nothing any more.
    const isCompared = this.#running.get(key.local)?.stands === true;
    const isBusy = this.#work.size >= this.#settings.maxConcurrent || isCompared;
    if (isBusy || !lifecycle.isOpen || clock.now() < this.#freeAt) return;
    const work = inNoCall(() => this.#verify({ ...hit, key }, loaderOfHit));
    this.#work.add(work);
    void work.finally(() => this.#work.delete(work));
    waitUntil?.(work);
  }

  /** How many hits pass until one is compared: as many as chance would have it. */
  #gap(): number {
    const { share } = this.#settings;
    return share === 0 ? Infinity : Math.max(1, Math.ceil(Math.log(1 - Math.random()) / Math.log(1 - share)));
  }

  // ---- one hit

  /** Never rejects. */
  async #verify(hit: Omit<Hit, "load">, loaderOfHit: () => Loader<unknown>): Promise<void> {
    const { key, namespace, entry } = hit;
    const { clock } = this.#context;
    const at = { namespace: key.space.path, key: key.name };
    const { version } = entry;
    const writer = writerOf(version?.startsWith(MARKED) === true ? version.slice(MARKED.length) : version);
    const compared = {
      namespace: at.namespace,
      group: namespace.meters.groupOf(key.name),
      ageMs: entry.ttlMs === Infinity ? undefined : Math.max(0, clock.now() - (entry.staleAt - entry.ttlMs)),
      writer,
      isOwn: writer === undefined ? undefined : writer === (this.#writer ??= writerOf(newId())),
      at: epochMs(clock),
    };
    let outcome: Outcome;
    try {
      outcome = await this.#outcomeOf({ ...hit, load: loaderOfHit() }, compared);
    } catch {
      if (this.#end.signal.aborted) return;
      this.#freeAt = Math.max(this.#freeAt, clock.now() + REST_MS);
      outcome = { kind: "failed" };
    }
    if (this.#end.signal.aborted) return;
    this.figures.add(compared, this.#shown(outcome));
    if (outcome.kind === "same" || outcome.kind === "different") namespace.meters.of(key.name).verified += 1;
    if (outcome.kind === "different") {
      namespace.meters.of(key.name).mismatches += 1;
      this.#context.events.mismatch.emit(outcome.mismatch);
    }
    this.#onOutcome?.(outcome);
  }

  /** As it may leave the process. */
  #shown(outcome: Outcome): Outcome {
    const { redactKey } = this.#context;
    if (redactKey === undefined || outcome.kind !== "different") return outcome;
    return { ...outcome, mismatch: redacted(outcome.mismatch, redactKey) };
  }

  async #outcomeOf(hit: Hit, compared: Parameters<VerifyFigures["add"]>[0]): Promise<Outcome> {
    const verified = new VerifiedHit(hit, {
      ...{ context: this.#context, reads: this.#reads, settings: this.#settings, signal: this.#end.signal },
      turn: () => this.#turn(),
      settles: this.#settles,
    });
    this.#running.set(hit.key.local, verified);
    try {
      const found = await verified.run();
      if (found.kind !== "different") return found;
      return { kind: "different", mismatch: this.#mismatchOf(hit, found, compared) };
    } finally {
      verified.end();
      if (this.#running.get(hit.key.local) === verified) this.#running.delete(hit.key.local);
    }
  }

  /** Each load takes its part of a minute. Those that confirm a difference wait for theirs. */
  async #turn(): Promise<void> {
    const { clock } = this.#context;
    const at = Math.max(clock.now(), this.#freeAt);
    this.#freeAt = at + MINUTE_MS / this.#settings.maxPerMinute;
    await pause(clock, at - clock.now(), this.#end.signal);
  }

  #mismatchOf(
    { key, entry, tier }: Hit,
    { fields, changedAt, isCopyBehind, isSharedKey }: Finding,
    { group, ageMs, writer, isOwn }: Parameters<VerifyFigures["add"]>[0],
  ): Mismatch {
    const { clock, redactKey, name } = this.#context;
    const [now, epochNow] = [clock.now(), epochMs(clock)];
    const { path } = key.space;
    const shown = redactKey === undefined ? String : redactKey;
    const tags = entry.terms.tags.map((tag) => shown(tag));
    const judgement = judgeMismatch({
      now,
      writtenAt: entry.ttlMs === Infinity ? undefined : entry.staleAt - entry.ttlMs,
      changedAt: changedAt === undefined ? undefined : now - (epochNow - changedAt),
      acceptsMs: this.#acceptsMs({ namespace: path, key: key.name }),
      ownChangeAt: this.#changes.of(path, shown(key.name)),
      otherChange: this.#changes.elsewhere(path, shown(key.name), tags),
      ...{ isCopyBehind, isSharedKey },
    });
    return {
      ...{ cache: name, namespace: path, key: key.name, tier, tags: entry.terms.tags, fields },
      ...(group !== undefined && { group }),
      ...(ageMs !== undefined && { ageMs }),
      ...judgement,
      ...(writer !== undefined && { writer, isOwn: isOwn! }),
    };
  }

  #acceptsMs(at: VerifiedKey): number | undefined {
    const { accepts } = this.#settings;
    const given = typeof accepts === "function" ? accepts(at) : accepts;
    return given === undefined ? undefined : toMs("accepts", given);
  }
}

/** The loader of a call whose options were not read. */
const loaderOf = (load: Loader<unknown>, options: GetOrSetOptions | undefined): Loader<unknown> =>
  hasFunctions(options) ? judging(load, options) : load;

function loadTimeoutOf(
  { policy }: NamespaceContext,
  options: Pick<GetOrSetOptions, "loadTimeout"> | undefined,
): number {
  return options?.loadTimeout === undefined ? policy.loadTimeoutMs : toMs("loadTimeout", options.loadTimeout);
}
