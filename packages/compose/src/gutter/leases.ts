import type { Clock, LeaseReply, LeaseRequest, Leases, StoredEntry } from "@hotset/core";
import { ignore } from "../ignore.ts";
import type { Side } from "../side.ts";
import type { GutterStore } from "./gutter-store.ts";
import type { MainChanges } from "./main-changes.ts";
import type { Phase, Phases } from "./phases.ts";

interface LeasesOf {
  readonly main: Side;
  readonly phases: Phases;
  readonly changes: MainChanges;
  readonly store: GutterStore;
  readonly clock: Clock;
}

interface Held {
  readonly token: string;
  readonly phase: Phase;
  readonly askedAt: number;
}

/**
 * Leases of the backend that answers. A value that is loaded under one is stored in the phase in which it was granted,
 * or nowhere: in another one the versions of its tags mean nothing, and changes may have been missed.
 */
export class PhasedLeases implements Leases {
  declare readonly leaseMs?: number;
  readonly #of: LeasesOf;
  readonly #inMain: Leases;
  /** By key, until it is stored, released or lost, or the key is changed. */
  readonly #held = new Map<string, Held>();

  constructor(of: LeasesOf) {
    const leases = of.main.backend.leases!;
    this.#of = of;
    this.#inMain = leases;
    if (leases.leaseMs !== undefined) this.leaseMs = leases.leaseMs;
  }

  async acquire(request: LeaseRequest): Promise<LeaseReply> {
    const { phases, changes, store, clock } = this.#of;
    const { key, token, seen } = request;
    // One over an unknown entry is for a change; and a store would end the repetition of a change that is pending.
    const isRefused = (): boolean => seen === TAKE_OVER || changes.isPending(key);
    const askedAt = clock.now();
    const answer = await phases.ask(
      () => this.#call("lease", key, () => this.#inMain.acquire(request)),
      () => (isRefused() ? Promise.reject(phases.error) : store.acquire(request)),
      (unused, phase) => {
        if (unused.granted) this.#giveBack(phase, key, token);
      },
    );
    if (answer.granted) this.#held.set(key, { token, phase: phases.now, askedAt });
    if (answer.granted && seen === TAKE_OVER) changes.forced(key);
    return answer;
  }

  async renew(...request: Parameters<Leases["renew"]>): Promise<boolean> {
    const [key, token] = request;
    const isMain = this.#phaseOf(key, token).of === "main";
    const isHeld = await (isMain
      ? this.#call("lease", key, () => this.#inMain.renew(...request))
      : this.#of.phases.orError(this.#of.store.renew(...request)));
    if (!isHeld) this.#forget(key, token);
    return isHeld;
  }

  release(key: string, token: string): Promise<void> {
    const phase = this.#phaseOf(key, token);
    this.#forget(key, token);
    return this.#release(phase, key, token);
  }

  async store(key: string, token: string, seen: string, entry: StoredEntry): Promise<boolean> {
    const { phases, changes, store } = this.#of;
    const lease = this.#held.get(key);
    const phase = this.#phaseOf(key, token);
    this.#forget(key, token);
    if (phase !== phases.now) {
      this.#giveBack(phase, key, token);
      if (phases.now.of === "main") return false;
      throw phases.error;
    }
    if (phase.of === "main") return changes.store(key, seen !== "", () => this.#inMain.store(key, token, seen, entry));
    if (lease?.token !== token || changes.isPending(key)) throw phases.error;
    const { askedAt } = lease;
    const isStored = await phases.orError(store.store({ key, token, askedAt }, seen, entry));
    // Main answers again: no copy of this process may count as one of an entry there.
    return isStored && phase === phases.now;
  }

  async touch(key: string, seen: string, life: Parameters<Leases["touch"]>[2]): Promise<boolean> {
    const { phases, store } = this.#of;
    if (phases.now.of === "main") return this.#call("write", key, () => this.#inMain.touch(key, seen, life));
    // Without a lease nothing was loaded, and the entry would outlive its time.
    const lease = this.#held.get(key);
    if (lease?.phase !== phases.now) throw phases.error;
    return phases.orError(store.touch(key, seen, life, lease.askedAt));
  }

  confirm(key: string): Promise<string> {
    return this.#of.phases.ask(
      () => this.#call("lease", key, () => this.#inMain.confirm(key)),
      () => this.#of.store.confirm(key),
    );
  }

  /** A change of the key ends a lease on it, wherever it is held. */
  end(key: string): void {
    this.#held.delete(key);
  }

  /** The phase in which the lease was granted; the current one for a lease that is not known. */
  #phaseOf(key: string, token: string): Phase {
    const lease = this.#held.get(key);
    return lease?.token === token ? lease.phase : this.#of.phases.now;
  }

  #forget(key: string, token: string): void {
    if (this.#held.get(key)?.token === token) this.#held.delete(key);
  }

  /** Nothing is stored under it. */
  #giveBack(phase: Phase, key: string, token: string): void {
    this.#release(phase, key, token).catch(ignore);
  }

  #release({ of }: Phase, key: string, token: string): Promise<void> {
    if (of === "gutter") return this.#of.phases.orError(this.#of.store.release(key, token));
    return this.#call("lease", key, () => this.#inMain.release(key, token));
  }

  #call<T>(operation: string, key: string, run: () => Promise<T>): Promise<T> {
    return this.#of.main.call(operation, key, run);
  }
}

/** Given as the seen version to `acquire`, it takes the lease from any holder. */
const TAKE_OVER = "*";
