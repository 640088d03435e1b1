import type { Cache, TierState } from "@hotset/core";
import { Inject, Injectable } from "@nestjs/common";
import { getCacheToken } from "./tokens.ts";

/** A result as `@nestjs/terminus` has it, by the key that was asked for. */
export type HotsetHealth = Record<string, { status: "up" | "down"; tiers: Record<string, TierState> }>;

/**
 * For `HealthCheckService.check([() => hotset.isHealthy()])` of `@nestjs/terminus`, or for a handler of your own.
 * Terminus 10 answers 200 unless its `HealthCheckError` is thrown.
 * While a backend is down, the cache answers from memory and loaders: whether that should fail a probe is your choice.
 */
export class HotsetHealthIndicator {
  readonly #cache: Cache;

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** Asks every tier for a key that does not exist. `down` if one of them did not answer. Never rejects. */
  async isHealthy(key = "hotset"): Promise<HotsetHealth> {
    const before = this.#cache.stats().tiers.map(({ errors }) => errors);
    await this.#cache.namespace("hotset:health").get("ping");
    const tiers: [string, TierState][] = this.#cache
      .stats()
      .tiers.map(({ label, state, errors }, i) => [label, errors > before[i]! ? "down" : state]);
    const isDown = tiers.some(([, state]) => state === "down");
    return { [key]: { status: isDown ? "down" : "up", tiers: Object.fromEntries(tiers) } };
  }
}
Injectable()(HotsetHealthIndicator);
Inject(getCacheToken())(HotsetHealthIndicator, undefined, 0);
