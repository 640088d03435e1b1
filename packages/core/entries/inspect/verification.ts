import { ConfigurationError, type Mismatch } from "@hotset/core";
import { checkNames, type Outcome } from "@hotset/core/internal";
import type { SampleOptions, Verification } from "./inspection.ts";
import type { Place } from "./place.ts";
import { durationOf } from "./processes.ts";

const MOST = { sample: 10_000, mismatches: 100, perMinute: 1_000_000 };
const DEFAULTS = { sample: 100, for: "1m", maxPerMinute: 600 } as const;
/** Values that are compared at one time. */
const AT_ONCE = 4;

/** Caches of which a sample is taken. */
const busy = new WeakSet<object>();

/** {@link Inspection.verify}. */
export async function verifySample(place: Place, options: SampleOptions): Promise<Verification> {
  checkNames(options, ["sample", "for", "maxPerMinute", "signal"], { place: "verify" });
  const sample = wholeOf("sample", options.sample ?? DEFAULTS.sample, MOST.sample);
  const maxPerMinute = wholeOf("maxPerMinute", options.maxPerMinute ?? DEFAULTS.maxPerMinute, MOST.perMinute);
  const forMs = durationOf(options.for ?? DEFAULTS.for, "verify: for")!;
  const { context } = place.parts;
  if (busy.has(context)) throw new ConfigurationError("verify: another sample of this cache is being taken");
  const configured = context.verifier;
  const verifier = configured ?? place.parts.startVerifying(place.parts, { share: 0 });
  if (verifier === undefined) throw new ConfigurationError("verify: a worker verifies nothing without inWorkers");
  busy.add(context);
  const found = new Findings(sample, (text) => place.redacted(text));
  const end = verifier.sample((outcome) => found.add(outcome), { maxPerMinute, maxConcurrent: AT_ONCE });
  const cancel = context.clock.schedule(found.end, forMs);
  options.signal?.addEventListener("abort", found.end, { once: true });
  try {
    if (options.signal?.aborted !== true) await found.ended;
    return { ...found.counts(), groups: verifier.groups() };
  } finally {
    end();
    cancel();
    options.signal?.removeEventListener("abort", found.end);
    busy.delete(context);
    if (configured === undefined) verifier.stop();
  }
}

/** What a sample has found until now. */
class Findings {
  readonly ended: Promise<void>;
  readonly end: () => void;
  readonly #sample: number;
  readonly #redacted: (text: string) => string;
  readonly #counts: Record<Outcome["kind"], number> = {
    ...{ same: 0, different: 0, changed: 0, unsteady: 0, failed: 0 },
    "left-out": 0,
  };
  readonly #mismatches: Mismatch[] = [];

  constructor(sample: number, redacted: (text: string) => string) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.end = () => resolve();
    this.#sample = sample;
    this.#redacted = redacted;
  }

  add(outcome: Outcome): void {
    if (this.#checked >= this.#sample) return;
    this.#counts[outcome.kind] += 1;
    if (outcome.kind === "different" && this.#mismatches.length < MOST.mismatches) {
      const { key, tags } = outcome.mismatch;
      const shown = { key: this.#redacted(key), tags: tags.map((tag) => this.#redacted(tag)) };
      this.#mismatches.push({ ...outcome.mismatch, ...shown });
    }
    if (this.#checked >= this.#sample) this.end();
  }

  get #checked(): number {
    return this.#counts.same + this.#counts.different;
  }

  counts(): Omit<Verification, "groups"> {
    const { different, changed, unsteady, failed, "left-out": leftOut } = this.#counts;
    return { checked: this.#checked, mismatches: this.#mismatches, different, changed, unsteady, failed, leftOut };
  }
}

function wholeOf(name: string, given: number, most: number): number {
  if (Number.isInteger(given) && given >= 1 && given <= most) return given;
  throw new ConfigurationError(`verify: ${name} must be a whole number from 1 to ${most}, got ${String(given)}`);
}
