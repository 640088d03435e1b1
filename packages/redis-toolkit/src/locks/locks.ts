import { InvalidArgumentError, type Duration } from "@hotset/core";
import { needsTcp } from "@hotset/redis/internal";
import type { RedisView } from "../index.ts";
import {
  checkFlag,
  checkFunction,
  checkName,
  checkOptions,
  checkView,
  durationMs,
  expectNoEviction,
  type Module,
  moduleOf,
  checkWholeNumber,
} from "../module/module.ts";
import { Acquisition } from "./acquisition.ts";
import { exclusive, permit, reading, writing, type Claim, type LockPlace } from "./claim.ts";
import type { Hold, HeldLease, Lease } from "./lease.ts";
import { LockLostError, LockUnavailableError } from "./lock-error.ts";
import {
  checkAcquireOptions,
  LEASE_OPTIONS,
  policyOf,
  type AcquireOptions,
  type LeaseOptions,
  type Policy,
} from "./policy.ts";
import { LockServers, type Ground, type Replicas } from "./servers.ts";

export { LockLostError, LockUnavailableError };
export type { AcquireOptions, Hold, Lease, LeaseOptions };
/** Options of `tryAcquire`, which does not wait. */
export type TryOptions = Omit<AcquireOptions, "wait">;

/** A function that runs while a lock is held. It stops, or writes no more, when `signal` is aborted. */
export type Task<T> = (hold: Hold) => T | Promise<T>;

/** Options of {@link locks}. */
export interface LocksOptions extends LeaseOptions {
  /** All keys begin with it: 1 to 512 characters without braces. @default 'lock:' */
  readonly prefix?: string | undefined;
  /**
   * The keys of exclusive locks, in place of the prefix and the name, for programs that take them by `SET key token NX
   * PX` and release them where the token is theirs: `(name) => "lock:" + name`. The fence lies next to it.
   */
  readonly key?: ((name: string) => string) | undefined;
  /**
   * An even number of further servers, independent of each other: the lock is held where most of all agree.
   * @default none
   */
  readonly quorum?: readonly RedisView[] | undefined;
  /** Replicas that must have the lock, and each extension, before it counts. @default 0 */
  readonly replicas?: number | undefined;
  /** How long they may take. @default '500ms' */
  readonly replicaTimeout?: Duration | undefined;
  /**
   * Refuses a server that may evict locks, with a `ConfigurationError`. Without it such a server is reported once.
   * @default false
   */
  readonly requireNoEviction?: boolean | undefined;
}

/**
 * A thing that can be held. Calls reject with `BackendUnavailableError` where Redis is down, `CommandError` where it
 * refuses, and `InvalidArgumentError` for options out of range.
 */
export interface Lockable {
  /**
   * @throws {LockUnavailableError} when others hold it for all of `wait`.
   * @throws {BackendUnavailableError} when Redis is down for the rest of `wait`: then nothing is known of it.
   * @throws {CommandError} when Redis refuses, as `OUT_OF_MEMORY`.
   */
  acquire(options?: AcquireOptions): Promise<Lease>;
  /** One attempt. @returns `undefined` when others hold it */
  tryAcquire(options?: TryOptions): Promise<Lease | undefined>;
  /** As {@link Locks.using}. */
  using<T>(task: Task<T>): Promise<T>;
  using<T>(options: AcquireOptions, task: Task<T>): Promise<T>;
}

/**
 * Locks by name. Calls reject with `BackendUnavailableError` where Redis is down, `CommandError` where it refuses, and
 * `InvalidArgumentError` for names and options out of range.
 */
export interface Locks {
  /**
   * Takes one lock, or up to 32 together: all of them or none, in one step. A name has 1 to 512 characters. In a cluster
   * the names of several need one hash tag at their beginning, such as `{order:7}:stock`.
   *
   * @throws {LockUnavailableError} when others hold one of them for all of `wait`.
   * @throws {BackendUnavailableError} when Redis is down for the rest of `wait`: then nothing is known of them.
   * @throws {CommandError} when Redis refuses, as `OUT_OF_MEMORY`; `CROSS_SLOT` before anything is sent.
   */
  acquire(resources: string | readonly string[], options?: AcquireOptions): Promise<Lease>;
  /** One attempt. @returns `undefined` when others hold one of them */
  tryAcquire(resources: string | readonly string[], options?: TryOptions): Promise<Lease | undefined>;
  /**
   * Runs `task` while the lock is held, and extends it meanwhile, up to `maxHold`. An error of `task` is passed on,
   * even when the lock is lost. The signal of the options also aborts that of `task`.
   *
   * @returns what `task` does.
   * @throws {LockLostError} when the lock was lost before `task` ended.
   */
  using<T>(resources: string | readonly string[], task: Task<T>): Promise<T>;
  using<T>(resources: string | readonly string[], options: AcquireOptions, task: Task<T>): Promise<T>;
  /**
   * Up to `permits` holders at once. All callers of a name must give the same number.
   *
   * @throws {InvalidArgumentError} together with `quorum`: each server would count other holders.
   */
  semaphore(name: string, permits: number): Lockable;
  /** Many readers, or one writer. A writer that waits lets no new reader in. Not together with `quorum`. */
  readWrite(name: string): { readonly read: Lockable; readonly write: Lockable };
}

/**
 * Locks across processes. Opens nothing, and reads nothing until a lock is wanted.
 *
 * @throws {InvalidArgumentError} for options that can never work.
 * @throws {ConfigurationError} for `replicas` over HTTP.
 */
export function locks(redis: RedisView, options: LocksOptions = {}): Locks {
  return new RedisLocks(redis, options);
}

const OPTIONS = [...LEASE_OPTIONS, "prefix", "key", "quorum", "replicas", "replicaTimeout", "requireNoEviction"];

class RedisLocks implements Locks {
  readonly #ground: Ground;
  readonly #policy: Policy;
  readonly #place: LockPlace;
  readonly #eviction: EvictionCheck;

  constructor(redis: RedisView, options: LocksOptions) {
    checkOptions("locks()", options, OPTIONS);
    this.#policy = policyOf("locks()", options);
    const prefix = prefixOf(options);
    const views = [redis, ...furtherOf(redis, options)];
    const { key } = options;
    if (key !== undefined) checkFunction("locks(): key", key);
    this.#place = { prefix, key, space: moduleOf(redis).space };
    const replicas = replicasOf(options);
    if (replicas !== undefined && views.some((view) => moduleOf(view).isHttp)) throw needsTcp("locks({ replicas })");
    this.#ground = { module: moduleOf(redis), servers: new LockServers(views, replicas) };
    const { requireNoEviction = false } = options;
    checkFlag("locks(): requireNoEviction", requireNoEviction);
    this.#eviction = evictionCheck(views, requireNoEviction);
  }

  async acquire(resources: string | readonly string[], options: AcquireOptions = {}): Promise<Lease> {
    return this.#lockable(exclusive(this.#place, resources)).acquire(options);
  }

  async tryAcquire(resources: string | readonly string[], options: TryOptions = {}): Promise<Lease | undefined> {
    return this.#lockable(exclusive(this.#place, resources)).tryAcquire(options);
  }

  async using<T>(resources: string | readonly string[], given: AcquireOptions | Task<T>, task?: Task<T>): Promise<T> {
    const lockable = this.#lockable(exclusive(this.#place, resources));
    return lockable.using(given, task);
  }

  semaphore(name: string, permits: number): Lockable {
    checkName("semaphore: the name", name);
    this.#expectOneServer("semaphore");
    checkWholeNumber("semaphore: permits", permits, { min: 1, max: Number.MAX_SAFE_INTEGER });
    return this.#lockable(permit(this.#place, name, permits));
  }

  readWrite(name: string): { readonly read: Lockable; readonly write: Lockable } {
    checkName("readWrite: the name", name);
    this.#expectOneServer("readWrite");
    return {
      read: this.#lockable(reading(this.#place, name)),
      write: this.#lockable(writing(this.#place, name)),
    };
  }

  #lockable(claim: Claim): RedisLockable {
    return new RedisLockable({ ...this.#ground, eviction: this.#eviction }, claim, this.#policy);
  }

  #expectOneServer(what: string): void {
    if (this.#ground.servers.isQuorum)
      throw new InvalidArgumentError(`${what}: only exclusive locks have a quorum; use locks() without one`);
  }
}

class RedisLockable implements Lockable {
  readonly #ground: Ground & { readonly eviction: EvictionCheck };
  readonly #claim: Claim;
  readonly #policy: Policy;

  constructor(ground: Ground & { readonly eviction: EvictionCheck }, claim: Claim, policy: Policy) {
    this.#ground = ground;
    this.#claim = claim;
    this.#policy = policy;
  }

  async acquire(options: AcquireOptions = {}): Promise<Lease> {
    checkAcquireOptions("acquire", options, LEASE_OPTIONS);
    return this.#acquire(policyOf("acquire", options, this.#policy), options.signal);
  }

  async tryAcquire(options: TryOptions = {}): Promise<Lease | undefined> {
    checkAcquireOptions("tryAcquire", options, ["ttl", "maxHold"]);
    const policy = { ...policyOf("tryAcquire", options, this.#policy), waitMs: 0 };
    try {
      return await this.#acquire(policy, options.signal);
    } catch (error) {
      if (error instanceof LockUnavailableError) return undefined;
      throw error;
    }
  }

  async using<T>(given: AcquireOptions | Task<T>, after?: Task<T>): Promise<T> {
    const [options, task] = typeof given === "function" ? [{}, given] : [given, after];
    checkAcquireOptions("using", options, LEASE_OPTIONS);
    checkFunction("using: the task", task);
    const lease = await this.#acquire(policyOf("using", options, this.#policy), options.signal);
    lease.keep();
    return this.#runWith(lease, options.signal, task!);
  }

  async #runWith<T>(lease: HeldLease, signal: AbortSignal | undefined, task: Task<T>): Promise<T> {
    let result: T;
    try {
      result = await task(holdOf(lease, signal));
    } catch (error) {
      await lease[Symbol.asyncDispose]();
      throw error;
    }
    if (lease.remainingMs === 0) throw lease.signal.reason;
    let end: Awaited<ReturnType<HeldLease["end"]>>;
    try {
      end = await lease.end();
    } catch (error) {
      // The task ended while the lock was held; it ends with its time.
      this.#ground.module.report("lock release", error);
      return result;
    }
    if (end === "lost") throw lease.signal.reason;
    return result;
  }

  async #acquire(policy: Policy, signal: AbortSignal | undefined): Promise<HeldLease> {
    const { eviction } = this.#ground;
    if (eviction.before !== undefined) await eviction.before();
    const lease = await new Acquisition(this.#ground, this.#claim, policy, signal).run();
    eviction.after?.();
    return lease;
  }
}

/** Whether the servers may evict locks: refused before the first one, or reported after it. */
interface EvictionCheck {
  readonly before?: () => Promise<unknown>;
  readonly after?: () => void;
}

/** By connection: reported once. */
const reported = new WeakSet<Module["connection"]>();

function evictionCheck(views: readonly RedisView[], required: boolean): EvictionCheck {
  if (required)
    return { before: () => Promise.all(views.map((view) => expectNoEviction(view, "locks()", { required }))) };
  return {
    after: () => {
      for (const view of views) {
        const { connection } = moduleOf(view);
        if (reported.has(connection)) continue;
        reported.add(connection);
        void expectNoEviction(view, "locks()");
      }
    },
  };
}

/** The lease without the means to end it; its signal is aborted by that of the caller as well. */
function holdOf(lease: HeldLease, signal: AbortSignal | undefined): Hold {
  const { resources, token, fence } = lease;
  return {
    resources,
    token,
    fence,
    signal: signal === undefined ? lease.signal : AbortSignal.any([lease.signal, signal]),
    get remainingMs() {
      return lease.remainingMs;
    },
  };
}

function prefixOf({ prefix = "lock:" }: LocksOptions): string {
  checkName("locks(): prefix", prefix);
  // Braces would be the hash tag of every key.
  if (/[{}]/.test(prefix)) throw new InvalidArgumentError("locks(): prefix must be text without braces");
  return prefix;
}

function furtherOf(redis: RedisView, { quorum = [] }: LocksOptions): readonly RedisView[] {
  checkView("locks(redis)", redis);
  if (!Array.isArray(quorum))
    throw new InvalidArgumentError("locks(): quorum must be a list of further servers, each from createRedis()");
  for (const view of quorum as readonly RedisView[]) checkView("locks(): each of quorum", view);
  if (quorum.length % 2 === 1)
    throw new InvalidArgumentError(
      "locks(): quorum must name an even number of further servers, so that all are an odd number, got " +
        `${quorum.length}`,
    );
  if (new Set([redis, ...quorum]).size !== quorum.length + 1)
    throw new InvalidArgumentError("locks(): quorum names a server twice");
  return quorum as readonly RedisView[];
}

function replicasOf({ replicas = 0, replicaTimeout = 500 }: LocksOptions): Replicas | undefined {
  checkWholeNumber("locks(): replicas", replicas, { min: 0, max: Number.MAX_SAFE_INTEGER });
  const withinMs = durationMs("locks(): replicaTimeout", replicaTimeout);
  return replicas === 0 ? undefined : { count: replicas, withinMs };
}
