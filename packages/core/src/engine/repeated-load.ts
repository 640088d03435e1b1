import { checkTags } from "../entry/key.ts";
import type { LoadContext, Loader } from "../entry/loader.ts";
import { checked } from "../entry/options.ts";
import type { LoadOptions } from "../entry/policy.ts";
import { checkBySchema } from "../entry/schema.ts";
import { singleUse } from "../entry/single-use.ts";
import { isThenable } from "../primitives/thenable.ts";
import type { NamespaceContext } from "./call.ts";
import type { Reporting } from "./context.ts";
import { judgeOf, overdue } from "./load.ts";
import { Loading } from "./loading.ts";

/** What a loader gave that ran for a comparison alone. */
export type Repeated =
  | { readonly kind: "value"; /** `undefined`: the source has nothing. */ readonly value: unknown }
  /** The value is stored for nobody, or can be read once. */
  | { readonly kind: "left-out" };

export interface RepeatedLoadOf {
  readonly context: Pick<Reporting, "clock">;
  readonly namespace: NamespaceContext;
  readonly key: { readonly name: string; readonly local: string };
  readonly loadTimeoutMs: number;
  /** Aborts it. */
  readonly signal: AbortSignal;
}

/**
 * Runs a loader whose value no caller waits for and nothing stores: for at most `loadTimeout`, as the load of its key, so
 * that it may not ask for that. To be called in the async context of no call. Rejects with the error of the loader.
 */
export async function repeatedLoad(load: Loader<unknown>, of: RepeatedLoadOf): Promise<Repeated> {
  const { context, namespace, key, loadTimeoutMs, signal: outer } = of;
  const controller = new AbortController();
  const abort = (reason: unknown): void => controller.abort(reason);
  const stopped = Promise.withResolvers<never>();
  controller.signal.addEventListener("abort", () => stopped.reject(controller.signal.reason as Error), { once: true });
  const onAbort = (): void => abort(outer.reason);
  outer.addEventListener("abort", onAbort, { once: true });
  const cancel = context.clock.schedule(() => abort(overdue(loadTimeoutMs)), loadTimeoutMs);
  const loading = new Loading(context, key.local);
  const run = new RepeatedContext(key.name, controller.signal);
  try {
    if (outer.aborted) throw outer.reason;
    const value = await Promise.race([loading.run(() => valueOf(load, run, namespace)), stopped.promise]);
    return run.isLeftOut(value) ? { kind: "left-out" } : { kind: "value", value };
  } finally {
    cancel();
    outer.removeEventListener("abort", onAbort);
    stopped.promise.catch(() => undefined);
    loading.end();
  }
}

/** The value as a load would store it. */
async function valueOf(load: Loader<unknown>, run: RepeatedContext, namespace: NamespaceContext): Promise<unknown> {
  const given: unknown = await load(run);
  const { schema, checksLoads } = namespace;
  const isChecked = checksLoads && schema !== undefined && given !== undefined;
  const result = isChecked ? await checkBySchema(schema, given) : { value: given };
  if (result.refusal !== undefined) throw new TypeError("the namespace's schema refuses the loaded value");
  if (!run.isLeftOut(result.value)) judgeOf(load)?.(result.value, run);
  return result.value;
}

/** The argument of such a loader, and what its judge says to. Destructured, and copied by `{ ...ctx }`, as any. */
class RepeatedContext implements LoadContext {
  declare readonly key: string;
  readonly reason = "verify";
  readonly background = true;
  declare readonly signal: AbortSignal;
  options: LoadOptions | undefined;
  isUntold = false;
  readonly #withheld = new Set<unknown>();

  constructor(key: string, signal: AbortSignal) {
    this.key = key;
    this.signal = signal;
  }

  readonly setOptions = (given: LoadOptions): void => {
    checked("load", given);
    if (given.tags !== undefined) checkTags(given.tags);
    this.options = given;
  };

  readonly withhold = <V>(value: V): V => {
    if (isThenable(value)) return value.then((each) => this.withhold(each)) as V;
    this.#withheld.add(value);
    return value;
  };

  readonly noStore = this.withhold;
  readonly notShared = this.withhold;

  isLeftOut(value: unknown): boolean {
    const ttl = this.options?.ttl;
    const storesNothing = typeof ttl === "number" && ttl <= 0;
    return this.#withheld.has(value) || storesNothing || singleUse(value) !== undefined;
  }
}
