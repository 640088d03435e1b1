import { CacheError, type CacheLogger, type Clock } from "@hotset/core";
import type { StopStage } from "../module/contract.ts";
import { noCounts, type LimitCounts, type ModuleCounts } from "../module/counts.ts";

const REPORT_EVERY_MS = 1_000;

/** Handlers may wait for what a later stage ends. */
const STAGES: readonly StopStage[] = ["workers", "listeners", "waits"];

/** Shared by the modules of all views of one connection: how they are stopped, and where trouble is reported. */
export class SharedModule {
  readonly clock: Clock;
  readonly counts: { -readonly [name in keyof ModuleCounts]: number } = noCounts();
  readonly limits: Map<string, LimitCounts> = new Map();
  readonly #logger: CacheLogger | undefined;
  readonly #stops: Readonly<Record<StopStage, Set<() => Promise<unknown>>>> = {
    workers: new Set(),
    listeners: new Set(),
    waits: new Set(),
  };
  readonly #begun = new Set<StopStage>();
  /** By kind: when it was reported, and how often since. */
  readonly #reports = new Map<string, { readonly at: number; omitted: number }>();

  constructor(settings: { readonly clock: Clock; readonly logger: CacheLogger | undefined }) {
    this.clock = settings.clock;
    this.#logger = settings.logger;
  }

  onDisconnect(stop: () => Promise<unknown>, stage: StopStage = "workers"): () => void {
    const stops = this.#stops[stage];
    // Later, since a constructor that calls this is not done.
    if (this.#begun.has(stage)) queueMicrotask(() => void this.#end(stop));
    else stops.add(stop);
    return () => void stops.delete(stop);
  }

  /** Each is called once. A failure is reported. */
  async stop(): Promise<void> {
    for (const stage of STAGES) {
      this.#begun.add(stage);
      const stops = [...this.#stops[stage]];
      this.#stops[stage].clear();
      await Promise.all(stops.map((stop) => this.#end(stop)));
    }
  }

  async #end(stop: () => Promise<unknown>): Promise<void> {
    try {
      await stop();
    } catch (error) {
      this.report("stop", error);
    }
  }

  report(kind: string, error: unknown): void {
    const last = this.#reports.get(kind);
    if (last !== undefined && (this.#logger === undefined || this.clock.now() - last.at < REPORT_EVERY_MS)) {
      last.omitted += 1;
      return;
    }
    this.#reports.set(kind, { at: this.clock.now(), omitted: 0 });
    const more = last === undefined || last.omitted === 0 ? "" : `; ${last.omitted} more since the last line`;
    // Messages of others may hold values.
    const text = nameOf(error);
    if (this.#logger !== undefined) return void this.#logger.warn(`hotset: redis: ${kind}: ${text}${more}`);
    process.emitWarning(`hotset: redis: ${kind}: ${text}. Shown once; pass createRedis({ logger }) for all`, {
      type: "HotsetWarning",
      code: `HOTSET_REDIS_${kind.toUpperCase().replace(/\W+/g, "_")}`,
    });
  }
}

/** A handler may throw what cannot be looked at, such as a revoked proxy. */
function nameOf(error: unknown): string {
  try {
    return error instanceof CacheError ? error.message : error instanceof Error ? error.name : typeof error;
  } catch {
    return "an error that cannot be read";
  }
}
