import { CacheError, type CacheLogger, type Clock } from "@hotset/core";
import { noCounts, type ModuleCounts } from "../module/counts.ts";

const REPORT_EVERY_MS = 1_000;

/** What the modules of all views of one connection share: how they are stopped, and where trouble is reported. */
export class SharedModule {
  readonly clock: Clock;
  readonly counts: { -readonly [name in keyof ModuleCounts]: number } = noCounts();
  readonly #logger: CacheLogger | undefined;
  readonly #stops = new Set<() => Promise<unknown>>();
  #isStopped = false;
  /** By kind: when it was reported, and how often since. */
  readonly #reports = new Map<string, { readonly at: number; omitted: number }>();

  constructor(settings: { readonly clock: Clock; readonly logger: CacheLogger | undefined }) {
    this.clock = settings.clock;
    this.#logger = settings.logger;
  }

  onDisconnect(stop: () => Promise<unknown>): () => void {
    // Later, since a constructor that calls this is not done.
    if (this.#isStopped) queueMicrotask(() => void this.#end(stop));
    else this.#stops.add(stop);
    return () => void this.#stops.delete(stop);
  }

  /** Each is called once. A failure is reported. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const stops = [...this.#stops];
    this.#stops.clear();
    await Promise.all(stops.map((stop) => this.#end(stop)));
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
    const text = error instanceof CacheError ? error.message : error instanceof Error ? error.name : typeof error;
    if (this.#logger !== undefined) return void this.#logger.warn(`hotset: redis: ${kind}: ${text}${more}`);
    process.emitWarning(`hotset: redis: ${kind}: ${text}. Shown once; pass createRedis({ logger }) for all`, {
      type: "HotsetWarning",
      code: `HOTSET_REDIS_${kind.toUpperCase().replace(/\W+/g, "_")}`,
    });
  }
}
