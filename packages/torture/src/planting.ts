import { check, type Rule } from "./checker.ts";
import type { Focus, Operation, Plan } from "./plan.ts";
import { Jumps } from "./jumps.ts";
import { gaveUpBefore } from "./lost-versions.ts";
import { isMarked, LOOK_MS } from "./reach.ts";
import { FOREIGN, type Change, type History, type Instant, type Load, type Read } from "./history.ts";

/** An answer that is older than several changes breaks one of these. */
const OLDER: readonly Rule[] = ["own", "elsewhere", "reappeared"];

/** The kinds of violations that are planted, and the rules that see each. */
const KINDS = {
  "second loads": ["two loads"],
  "stale elsewhere": OLDER,
  "stale in the own process": OLDER,
} as const satisfies Readonly<Record<string, readonly Rule[]>>;

export type PlantKind = keyof typeof KINDS;
const PLANT_KINDS = Object.keys(KINDS) as readonly PlantKind[];

/** How many planted violations the checker saw. */
export interface Sighted {
  readonly kind: PlantKind;
  readonly planted: number;
  readonly seen: number;
}

/** The same plan with short lives and slow loaders: many loads during which another one can be planted. */
export function withManyLoads(plan: Plan): Plan {
  const slower = (operation: Operation): Operation =>
    "load" in operation
      ? { ...operation, load: { ...operation.load, afterMs: operation.load.afterMs + SLOWER_MS } }
      : operation;
  return {
    ...plan,
    settings: { ...plan.settings, ttl: 100, staleWhileRevalidate: 0, staleIfError: 0 },
    operations: plan.operations.map(slower),
  };
}

const SLOWER_MS = 25;

/** By group of rounds, the part of all planted violations that the checker must see. Other faults excuse more. */
const LEAST_SEEN: readonly { readonly focuses: readonly Focus[]; readonly part: number }[] = [
  { focuses: ["calm"], part: 0.95 },
  { focuses: ["links", "servers", "mixed"], part: 0.8 },
];
/** Fewer say nothing about a part. */
const LEAST_PLANTED = 25;

/** How much of what is planted the checker sees, by the faults of the rounds. */
export class Planted {
  readonly #all: (Sighted & { readonly focus: Focus })[] = [];

  add(focus: Focus, history: History): void {
    this.#all.push(...sightPlanted(history).map((sighted) => ({ ...sighted, focus })));
  }

  /** The kinds of which the checker missed more than it may. */
  missed(): readonly string[] {
    return LEAST_SEEN.flatMap(({ focuses, part }) =>
      PLANT_KINDS.flatMap((kind) => {
        const { planted, seen } = this.#sum(kind, focuses);
        return planted >= LEAST_PLANTED && seen < part * planted
          ? [`${kind}, ${focuses.join(", ")}: ${seen} of ${planted} seen`]
          : [];
      }),
    );
  }

  /** One for each kind of faults. */
  lines(): readonly string[] {
    return [...new Set(this.#all.map(({ focus }) => focus))].map((focus) => {
      const sums = PLANT_KINDS.map((kind) => this.#sum(kind, [focus]));
      return `planted in ${focus} rounds, and seen: ${sums.map(({ kind, planted, seen }) => `${kind} ${seen} of ${planted}`).join(", ")}`;
    });
  }

  #sum(kind: PlantKind, focuses: readonly Focus[]): Sighted {
    const concerned = this.#all.filter((each) => each.kind === kind && focuses.includes(each.focus));
    return concerned.reduce<Sighted>(
      (sum, { planted, seen }) => ({ kind, planted: sum.planted + planted, seen: sum.seen + seen }),
      { kind, planted: 0, seen: 0 },
    );
  }
}

/** Plants violations into a recorded history, and counts those that the checker sees. Pure. */
export function sightPlanted(history: History): readonly Sighted[] {
  const loads = history.loads.flatMap((load) => secondLoad(history, load) ?? []);
  const elsewhere = history.changes.flatMap((change) => staleElsewhere(history, change));
  const own = history.changes.flatMap((change) => staleInOwnProcess(history, change));
  return [
    sighted("second loads", { ...history, loads: inOrder([...history.loads, ...loads]) }, loads),
    sighted("stale elsewhere", { ...history, reads: inOrder([...history.reads, ...elsewhere]) }, elsewhere),
    sighted("stale in the own process", { ...history, reads: inOrder([...history.reads, ...own]) }, own),
  ];
}

function sighted(kind: PlantKind, history: History, plants: readonly { readonly id: string }[]): Sighted {
  const rules: readonly Rule[] = KINDS[kind];
  const ids = new Set(
    check(history)
      .violations.filter(({ rule }) => rules.includes(rule))
      .flatMap((violation) => violation.ids),
  );
  return { kind, planted: plants.length, seen: plants.filter(({ id }) => ids.has(id)).length };
}

/**
 * Another process begins to load the same key in the middle of a load. Not where that is allowed: something happened to
 * the key, it was marked, or Redis lost leases.
 */
function secondLoad(history: History, load: Load): Load | undefined {
  const { key, startedAt, endedAt, forced, isAlone, askedAt } = load;
  if (forced || isAlone === true || endedAt === undefined || endedAt - startedAt < SHORTEST_MS) return undefined;
  const process = otherThan(history, load.process, startedAt, endedAt);
  const middle = (startedAt + endedAt) / 2;
  const from = askedAt ?? startedAt;
  const isLost =
    gaveUpBefore(load, { startedAt: middle }) ||
    history.faults.some((fault) => fault.losesLeases === true && fault.from <= middle && from <= fault.to) ||
    new Jumps(history).mayEndLease({ from, to: middle });
  if (process === undefined || isLost || isTouched(history, key, from, middle)) return undefined;
  const calledAt = middle - 2;
  const loads = history.loads.filter((each) => each.key === key);
  if (isMarked(history, loads, { calledAt, startedAt: middle })) return undefined;
  return {
    process,
    id: `planted beside ${load.id}`,
    key,
    calledAt,
    askedAt: middle - 1,
    startedAt: middle,
    endedAt: middle + 1,
    forced: false,
    ...(load.version !== undefined && { version: load.version }),
  };
}

/** Another process answers the replaced value of a hard change 1 ms after `maxStaleness`. */
function staleElsewhere(history: History, change: Change): readonly Read[] {
  if (change.status !== "acknowledged") return [];
  const at = change.endedAt! + history.terms.maxStalenessMs + 1;
  return replacedBy(change, at, otherThan(history, change.process, at, at + 1));
}

/** The process of a hard change answers the replaced value 1 ms after it settled. */
function staleInOwnProcess(history: History, change: Change): readonly Read[] {
  if (change.endedAt === undefined || change.status === "failed" || change.process === FOREIGN) return [];
  return replacedBy(change, change.endedAt + 1, change.process);
}

function replacedBy(change: Change, at: Instant, process: string | undefined): readonly Read[] {
  if (process === undefined || change.mode === "soft") return [];
  return change.keys.map(([key, version]) => ({
    process,
    id: `planted after ${change.id} of ${key}`,
    kind: "get",
    key,
    startedAt: at,
    endedAt: at + 0.1,
    version: version - 1,
    freshness: "fresh",
    tier: "memory",
    boundMs: 100,
  }));
}

/** Another process that runs through this span; not always the same one. */
function otherThan({ processes }: History, process: string, from: Instant, to: Instant): string | undefined {
  const others = processes.filter(
    ({ name, bornAt, diedAt = Infinity }) => name !== process && bornAt < from && to < diedAt,
  );
  return others[Math.floor(from) % Math.max(1, others.length)]?.name;
}

/** Whether a change or a forced call of the key was under way. */
function isTouched({ changes, reads, loads }: History, key: string, from: Instant, to: Instant): boolean {
  const isWithin = (startedAt: Instant, endedAt = Infinity): boolean => startedAt <= to && from <= endedAt;
  return (
    changes.some(
      ({ keys, touches, startedAt, endedAt, status }) =>
        (keys.some(([each]) => each === key) || touches?.includes(key) === true) &&
        isWithin(startedAt, status === "pending" ? undefined : endedAt),
    ) ||
    reads.some((read) => read.key === key && read.forced === true && isWithin(read.startedAt, forcedUntil(read))) ||
    loads.some((load) => load.key === key && load.forced && isWithin(load.calledAt, load.endedAt))
  );
}

/** A forced load whose caller left takes the lease over all the same. */
const forcedUntil = ({ endedAt, error }: Read): Instant => endedAt + (error === undefined ? 0 : LOOK_MS);

const inOrder = <T extends { readonly startedAt: Instant }>(items: readonly T[]): readonly T[] =>
  [...items].sort((a, b) => a.startedAt - b.startedAt);

/** The shortest load during which another one is planted. */
const SHORTEST_MS = 10;
