import type { Random } from "@hotset/test-servers";
import { mayRead, type At, type FaultPlan, type KeyPlan, type LoaderPlan, type Operation } from "./plan-parts.ts";

export interface Shape {
  readonly keys: readonly KeyPlan[];
  readonly workers: number;
  readonly durationMs: number;
  readonly changesToo?: boolean;
  readonly hearsForeign: boolean;
  /** More loads that take long, so that a pause meets one. */
  readonly isHeld?: boolean;
  /** Calls of thousands of keys. */
  readonly hasBulk?: boolean;
  /** Few calls that free a lease or take it over, so that its end counts. */
  readonly leavesLeases?: boolean;
  /** Few reads and writes of a key by each process, so that it has copies that it did not read since they changed. */
  readonly isQuiet?: boolean;
}

/** For each of three processes; those of more share as many reads. */
const READ_EVERY_MS = 9;
/** More processes than these call less often: their code is not compiled, and a change wakes all of them. */
const UNHURRIED = { reads: 10, changes: 4 };
/** A process reads each of seven keys once a second. */
const QUIET_MS = 150;
const BULK_EVERY_MS = 800;
const ASIDE_EVERY_MS = 60;
const TOUCH_EVERY_MS = 100;
const FENCED_EVERY_MS = 40;

const SPACES: readonly (readonly string[])[] = [[], ["users"], ["users", "deep"]];

/** Draws the operations of a plan, in the order of their instants. */
export function operationsOf(random: Random, prefix: string, shape: Shape): readonly Operation[] {
  const operations: Operation[] = [];
  const at = (instant: number, worker: number): At => ({
    id: `${prefix}${operations.length}`,
    at: Math.round(instant * 10) / 10,
    worker,
  });
  const pace = Math.max(1, shape.workers / UNHURRIED.changes);
  const wait = (meanMs: number): number => random.gap(meanMs * pace);
  const drawing: Drawing = { random, wait, shape, at, add: (operation) => void operations.push(operation) };
  addReads(drawing);
  if (shape.changesToo) {
    addKeyChanges(drawing);
    addSpaceChanges(drawing);
  }
  addTouches(drawing);
  if (!shape.leavesLeases) addAsides(drawing);
  if (shape.hasBulk) addBulk(drawing);
  if (!shape.leavesLeases && shape.isQuiet !== true) addFenced(drawing);
  return operations.sort((a, b) => a.at - b.at);
}

/** The sequence of its random draws is part of every plan. */
interface Drawing {
  readonly random: Random;
  /** The time until the next of calls that come every `meanMs` on average, where processes are few. */
  readonly wait: (meanMs: number) => number;
  readonly shape: Shape;
  readonly at: (instant: number, worker: number) => At;
  readonly add: (operation: Operation) => void;
}

function addReads(drawing: Drawing): void {
  const { random, shape } = drawing;
  const hurriedMs = ((READ_EVERY_MS * shape.workers) / 3) * Math.max(1, shape.workers / UNHURRIED.reads);
  const everyMs = Math.max(shape.isQuiet === true ? QUIET_MS : 0, hurriedMs);
  for (let worker = 0; worker < shape.workers; worker += 1)
    for (let now = random.gap(everyMs); now < shape.durationMs; now += random.gap(everyMs))
      addRead(drawing, now, worker);
}

function addRead({ random, shape, at, add }: Drawing, now: number, worker: number): void {
  const all = shape.keys.map(({ id }) => id).filter((id) => mayRead(shape.keys, id, worker));
  const key = random.one(all);
  const { lateTags, isPersonal = false } = shape.keys.find(({ id }) => id === key)!;
  // Operations must meet the late tags of a loader while it runs.
  const drawn = loaderOf(random, shape.isHeld === true || lateTags.length > 0 || isPersonal);
  // After these, processes load side by side for a while: of the other keys every second load is to be explained.
  const isAlone = isPersonal && random.oneIn(3);
  const load: LoaderPlan = isAlone
    ? { ...drawn, outcome: random.oneIn(3) ? "no-store" : "not-shared" }
    : drawn.outcome === "no-store"
      ? { ...drawn, outcome: "value" }
      : drawn;
  const choice = random.below(100);
  if (choice < 52) {
    add({
      ...at(now, worker),
      kind: "getOrSet",
      key,
      load,
      forced: random.oneIn(shape.leavesLeases ? 200 : 14),
      isCurrent: random.oneIn(8),
      ...(random.oneIn(5) && { hardTimeout: random.one([20, 100, 400]) }),
      ...(random.oneIn(6) && { softTimeout: random.one([5, 15]) }),
      ...(random.oneIn(8) && { refreshAhead: 0.5 }),
      ...(random.oneIn(8) && { leaveAfterMs: random.below(random.oneIn(2) ? 30 : 300) }),
    });
  } else if (choice < 62) add({ ...at(now, worker), kind: "get", key });
  else if (choice < 67) add({ ...at(now, worker), kind: "getStale", key });
  else if (choice < 80) add({ ...at(now, worker), kind: "peek", key });
  else if (choice < 88) add({ ...at(now, worker), kind: "watch", key });
  else if (choice < 94) add({ ...at(now, worker), kind: "getMany", keys: some(random, all) });
  else add({ ...at(now, worker), kind: "getOrSetMany", keys: some(random, all), load });
}

function addKeyChanges({ random, wait, shape, at, add }: Drawing): void {
  for (const { id: key, changedEveryMs, isForeign } of shape.keys) {
    for (let now = wait(changedEveryMs); now < shape.durationMs; now += wait(changedEveryMs)) {
      if (isForeign && shape.hearsForeign && random.oneIn(2))
        add({ ...at(now, -1), kind: random.oneIn(2) ? "foreignDelete" : "foreignSet", key });
      else
        add({
          ...at(now, random.below(shape.workers)),
          kind: random.one(["delete", "delete", "set", "set", "markStale"] as const),
          key,
          isFollowed: !random.oneIn(3),
        });
    }
  }
}

/** Every second key gets one: the others end with their first life. */
function addTouches({ random, wait, shape, at, add }: Drawing): void {
  for (let now = wait(TOUCH_EVERY_MS); now < shape.durationMs; now += wait(TOUCH_EVERY_MS)) {
    const worker = random.below(shape.workers);
    const keys = shape.keys.filter(
      ({ id, isForeign }, i) => !isForeign && i % 2 === 0 && mayRead(shape.keys, id, worker),
    );
    if (keys.length === 0) continue;
    const key = random.one(keys).id;
    const times = random.oneIn(2) ? 2 : 1;
    add({ ...at(now, worker), kind: "touch", key, times });
    // A change elsewhere that is made while the last of two touches is answered.
    if (times === 2 && shape.changesToo && random.oneIn(3))
      add({
        ...at(now + 0.5 + random.below(30) / 10, (worker + 1) % shape.workers),
        kind: random.one(["delete", "set", "markStale"] as const),
        key,
        isFollowed: false,
      });
  }
}

function addSpaceChanges({ random, wait, shape, at, add }: Drawing): void {
  const everyMs = shape.leavesLeases ? 1_500 : shape.isQuiet === true ? 600 : 200;
  for (let now = wait(everyMs); now < shape.durationMs; now += wait(everyMs)) {
    const worker = random.below(shape.workers);
    const isFollowed = !random.oneIn(3);
    const space = random.one([...SPACES, []]);
    if (random.oneIn(7)) add({ ...at(now, worker), kind: "clear", space, isFollowed });
    else
      add({
        ...at(now, worker),
        kind: random.oneIn(3) ? "markTagsStale" : "invalidateTags",
        tag: random.one(["t", "u", "v"]),
        space,
        isFollowed,
      });
  }
}

/**
 * Changes that stopped processes miss, since their links are cut meanwhile. By a tag of one entry, or its namespace: what
 * is asked for others says nothing about it.
 */
export function missedChanges(random: Random, faults: readonly FaultPlan[], workers: number): readonly Operation[] {
  const stopped = new Set(faults.filter(({ kind }) => kind === "freeze process").map(({ worker }) => worker));
  const running = Array.from({ length: workers }, (_, worker) => worker).filter((worker) => !stopped.has(worker));
  if (running.length === 0) return [];
  return faults
    .filter(({ kind }) => kind === "cut from versions")
    .map(({ id, at }): Operation => {
      const shared = { id: `missed ${id}`, at: at + 300 + random.below(300), worker: random.one(running) };
      const kind = random.one(["invalidateTags", "markTagsStale", "clear"] as const);
      const space = random.one(kind === "clear" ? [["users", "deep"]] : SPACES);
      return kind === "clear"
        ? { ...shared, kind, space, isFollowed: false }
        : { ...shared, kind, space, tag: "v", isFollowed: false };
    });
}

/** Calls of tags that no key has, of namespaces without a key, and first uses of tags. */
function addAsides({ random, wait, shape, at, add }: Drawing): void {
  for (let now = wait(ASIDE_EVERY_MS); now < shape.durationMs; now += wait(ASIDE_EVERY_MS))
    add({
      ...at(now, random.below(shape.workers)),
      kind: "aside",
      does: random.one(["invalidateTags", "invalidateTags", "markTagsStale", "clear", "use", "use"] as const),
      tag: random.oneIn(2) ? random.one(["x", "y", "z"]) : `once${Math.round(now)}`,
      space: random.one(SPACES),
    });
}

/** Every second one is crossed by a call of a tag of its key, or of the key itself, in another process. */
function addFenced({ random, wait, shape, at, add }: Drawing): void {
  for (let now = wait(FENCED_EVERY_MS); now < shape.durationMs; now += wait(FENCED_EVERY_MS)) {
    const worker = random.below(shape.workers);
    const {
      id: key,
      tags,
      space,
    } = random.one(shape.keys.filter(({ id, isForeign }) => !isForeign && mayRead(shape.keys, id, worker)));
    const afterMs = random.oneIn(3) ? random.below(300) : random.below(20);
    add({ ...at(now, worker), kind: "fenced", key, afterMs });
    if (!shape.changesToo || random.oneIn(2)) continue;
    const crossed = { ...at(now + random.below(afterMs + 2), random.below(shape.workers)), isFollowed: false };
    if (tags.length === 0) add({ ...crossed, kind: random.one(["delete", "markStale"] as const), key });
    else {
      const kind = random.one(["invalidateTags", "invalidateTags", "markTagsStale"] as const);
      add({ ...crossed, kind, tag: random.one(tags), space });
    }
  }
}

/** Each call has one key that is checked, among thousands that are not. */
function addBulk({ random, wait, shape, at, add }: Drawing): void {
  for (let now = wait(BULK_EVERY_MS); now < shape.durationMs; now += wait(BULK_EVERY_MS)) {
    const worker = random.below(shape.workers);
    const kind = random.one(["setMany", "setMany", "deleteMany", "getMany", "getOrSetMany"] as const);
    const plain = shape.keys.filter(({ tags, isForeign, id }) => {
      const mayCall = kind === "setMany" || kind === "deleteMany" || mayRead(shape.keys, id, worker);
      return tags.length === 0 && !isForeign && mayCall;
    });
    const keys = [random.one(plain).id];
    const fillers = random.one([1_100, 2_000, 4_000]);
    const load = loaderOf(random, shape.isHeld === true);
    if (kind === "getMany") add({ ...at(now, worker), kind, keys, fillers });
    else if (kind === "getOrSetMany") add({ ...at(now, worker), kind, keys, fillers, load });
    else add({ ...at(now, worker), kind, keys, fillers, isFollowed: !random.oneIn(3) });
  }
}

function loaderOf(random: Random, isHeld: boolean): LoaderPlan {
  const slow = isHeld ? 3 : 8;
  return {
    beforeMs: random.oneIn(3) ? random.below(8) : 0,
    afterMs: random.oneIn(slow)
      ? random.oneIn(4)
        ? 600 + random.below(700)
        : 100 + random.below(500)
      : random.oneIn(2)
        ? random.below(20)
        : 0,
    outcome: random.oneIn(150)
      ? "hang"
      : random.oneIn(15)
        ? "fail"
        : random.oneIn(30)
          ? "undefined"
          : random.oneIn(30)
            ? "no-store"
            : random.oneIn(4)
              ? "not-modified"
              : "value",
  };
}

const some = (random: Random, all: readonly string[]): readonly string[] => {
  const chosen = all.filter(() => random.oneIn(2));
  return chosen.length === 0 ? [random.one(all)] : chosen;
};
