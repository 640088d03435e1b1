import type { Backend, KeyWalk } from "@hotset/core";
import { settingsOf } from "../settings.ts";
import { Side, type Found } from "../side.ts";
import { GutterStore } from "./gutter-store.ts";
import { LastChanges } from "./last-changes.ts";
import { PhasedLeases } from "./leases.ts";
import { MainChanges } from "./main-changes.ts";
import type { GutterOptions } from "./options.ts";
import { isUnavailable, Phases } from "./phases.ts";
import { gutterPlan } from "./plan.ts";
import { versionsOf } from "./versions.ts";

/**
 * `main`, and `small` in its place while it cannot be reached: a second, small store with leases, tag versions and
 * entries of a few seconds, so that one process loads a key for all. `main` decides everything while it answers.
 *
 * An entry in `small` ends after `ttl`, and is served by no process that has changed it since its load began. Changes
 * go to `main`, and stay pending until it has them; those that it did not get are carried out in `small`, too. From
 * when a process is attached to `main` again, nothing in `small` is served; and nothing of it is ever stored in `main`.
 *
 * Experimental: it may change with a minor version.
 *
 * `main` is one server, or one with replicas. Both backends belong to the composition, and are closed with it.
 *
 * @throws {ConfigurationError} for an option out of range, and for backends without leases, tag versions or reports.
 */
export function gutter(main: Backend, small: Backend, options: GutterOptions = {}): Backend {
  const { clock, label, ttlMs, coherence, onSmallError } = gutterPlan(main, small, options);
  const [mainSide, smallSide] = [new Side(main, clock), new Side(small, clock, onSmallError)];
  const phases = new Phases(mainSide, clock);
  const last = new LastChanges(clock);
  const store = new GutterStore({ small: smallSide, phases, changes: last, clock, ttlMs });
  const changes = new MainChanges({ main: mainSide, phases, changes: last, store });
  const leases = new PhasedLeases({ main: mainSide, phases, changes, store, clock });
  const readMany = reading(mainSide, phases, store);
  const change = <T>(operation: string, key: string, inMain: () => Promise<T>): Promise<T> => {
    leases.end(key);
    return changes.run(operation, key, inMain);
  };
  return {
    ...settingsOf(small, main),
    label,
    deadlineMs: mainSide.deadlineMs + smallSide.deadlineMs,
    boundsCalls: true,
    // Each side has its own.
    breaker: { failures: Infinity, waitMs: 1_000, longestWaitMs: 1_000 },
    async read(key) {
      const [found] = await readMany([key]);
      if (found instanceof Error) throw found;
      return found;
    },
    async write(key, entry) {
      if (phases.now.of === "main") return change("write", key, () => main.write(key, entry));
      // It is under tag versions of the gutter: in main no process would find it.
      await change("write", key, () => main.remove(key));
      throw phases.error;
    },
    remove: (key) => change("remove", key, () => main.remove(key)),
    ...(main.markStale !== undefined && {
      markStale: (key: string) => change("markStale", key, () => main.markStale!(key)),
    }),
    async connect() {
      await Promise.all([small.connect?.().catch(onSmallError), main.connect?.()]);
    },
    async close() {
      phases.close();
      await Promise.all([mainSide.close(), smallSide.close()]);
    },
    ...(main.walk !== undefined && { walk: (walk: KeyWalk) => main.walk!(walk) }),
    batch: { read: readMany },
    leases,
    tagVersions: versionsOf(mainSide, smallSide, phases, (tags, mode) => changes.renewTags(tags, mode)),
    coherence: phases.coherence(coherence),
  };
}

/** Reads of many keys: one trip to main, and one to the gutter for those that it did not answer. */
function reading(
  main: Side,
  phases: Phases,
  store: GutterStore,
): (keys: readonly string[]) => Promise<readonly Found[]> {
  return async (keys) => {
    const phase = phases.now;
    if (phase.of === "gutter") return store.read(keys);
    const found = await main.read(keys);
    const failure = found.find(isUnavailable);
    if (failure === undefined) return found;
    phases.fail(phase, failure);
    const others = (await store.read(keys.filter((_, i) => isUnavailable(found[i])))).values();
    return found.map((each) => (isUnavailable(each) ? others.next().value : each));
  };
}
