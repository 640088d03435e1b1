import { ConfigurationError, type Coherence, type CoherenceListener } from "@hotset/core";
import { HearingRefusedError, type Ear } from "./hub.ts";
import type { Keys } from "./layout.ts";
import type { Link } from "./link.ts";

export interface CoherenceSettings {
  readonly label: string;
  readonly keys: Keys;
  readonly maxStalenessMs: number;
  readonly reissueWindowMs: number;
}

/** Hears of what others change below one backend's prefix, and tells it in the cache's words. */
export class RedisCoherence implements Coherence {
  readonly maxStalenessMs: number;
  readonly reissueWindowMs: number;
  readonly #link: Link;
  readonly #settings: CoherenceSettings;
  readonly #ears = new WeakMap<CoherenceListener, Ear>();

  constructor(link: Link, settings: CoherenceSettings) {
    this.maxStalenessMs = settings.maxStalenessMs;
    this.reissueWindowMs = settings.reissueWindowMs;
    this.#link = link;
    this.#settings = settings;
  }

  /** @throws {ConfigurationError} where the server refuses tracking: it says what to grant. */
  async attach(listener: CoherenceListener): Promise<() => Promise<void>> {
    const { tracking } = this.#link;
    const { label } = this.#settings;
    if (tracking === undefined) throw new ConfigurationError(`${label}: this connection cannot hear of changes; say coherence("none")`);
    try {
      return await tracking.attach(this.#earOf(listener));
    } catch (error) {
      if (!(error instanceof HearingRefusedError)) throw error;
      throw new ConfigurationError(`${label}: the server refuses tracking: ${error.message}; grant the user +client|tracking`, { tier: label, operation: "attach", cause: error });
    }
  }

  /** One for each listener: what it was told is remembered for it. */
  #earOf(listener: CoherenceListener): Ear {
    let ear = this.#ears.get(listener);
    if (ear === undefined) this.#ears.set(listener, (ear = this.#translate(listener)));
    return ear;
  }

  #translate(listener: CoherenceListener): Ear {
    const { keys, maxStalenessMs } = this.#settings;
    return {
      prefix: keys.tracked,
      maxStalenessMs,
      now: () => listener.now(),
      changed(redisKeys) {
        const changed: string[] = [];
        const tagsChanged: string[] = [];
        for (const redisKey of redisKeys) {
          const key = keys.decode(redisKey);
          if (key !== undefined) (key.startsWith("{~") ? tagsChanged : changed).push(key);
        }
        if (changed.length !== 0) listener.changed(changed);
        if (tagsChanged.length !== 0) listener.tagsChanged(tagsChanged);
      },
      everythingChanged: () => listener.everythingChanged(),
      alive: (sentAtMs) => listener.alive(sentAtMs),
      replaced: () => listener.replaced(),
      lost: (error) => listener.lost(error),
    };
  }
}
