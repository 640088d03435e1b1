import { BackendUnavailableError, type Cache, ConfigurationError } from "@hotset/core";
import { type Internals, within } from "@hotset/core/internal";

/** A cache that is looked into, and how its keys, instants and errors are shown. */
export class Place {
  readonly parts: Internals;

  constructor(parts: Internals) {
    this.parts = parts;
  }

  /** @throws {ConfigurationError} for what `createCache` has not made. */
  static of(cache: Cache, caller: string): Place {
    const given = cache as unknown as { readonly [INTERNALS]?: () => Internals } | null | undefined;
    const parts = given?.[INTERNALS]?.();
    if (parts === undefined)
      throw new ConfigurationError(
        `${caller}: cache must be what createCache(...).build() gives, not a namespace of it`,
      );
    return new Place(parts);
  }

  /** The namespace and the key of an entry, by its local key. */
  shown(localKey: string): { readonly namespace: readonly string[]; readonly key: string } {
    const { path, key } = this.parts.parseLocalKey(localKey);
    return { namespace: path, key: this.redacted(key) };
  }

  /** A key or a tag as events show it. */
  redacted(text: string): string {
    const { redactKey } = this.parts.context;
    return redactKey === undefined ? text : redactKey(text);
  }

  /** A call of the backend, within its time. */
  bounded<T>(call: Promise<T>): Promise<T> {
    const { backend, context } = this.parts;
    const { label, deadlineMs = 1_000 } = backend!;
    return within(context.clock, deadlineMs, call, () => {
      throw new BackendUnavailableError(`${label}: no answer in time`, { tier: label });
    });
  }

  /** An instant of the cache's clock, since 1970. */
  epochOf(instant: number): number {
    const { clock } = this.parts.context;
    return Math.round(this.epochNow() - (clock.now() - instant));
  }

  epochNow(): number {
    return this.parts.epochMs(this.parts.context.clock);
  }

  /** The message may name the key, so it is left out where keys are redacted. */
  describe(error: unknown): { readonly name: string; readonly message: string } {
    const { name, message } = error instanceof Error ? error : { name: typeof error, message: String(error) };
    return { name, message: this.parts.context.redactKey === undefined ? message.slice(0, MAX_MESSAGE) : "[redacted]" };
  }
}

const INTERNALS: unique symbol = Symbol.for("hotset.internals");
const MAX_MESSAGE = 500;
