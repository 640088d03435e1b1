import timers from "node:timers";
import { scheduler } from "node:timers/promises";
import type { Backend, Clock, Coherence, CoherenceListener, StoredAnswer } from "@hotset/core";
import { beforeEach, describe, expect, it } from "vitest";
import { apart } from "./apart.ts";
import { KEY, stored, type BackendSubject } from "./backend-subject.ts";
import { flush } from "./index.ts";
import { PECULIAR_KEYS } from "./peculiar-keys.ts";

/**
 * The part of `describeBackend` about `coherence`. Every test passes if the backend has none, or is the sole writer.
 */
export function describeCoherence(subject: BackendSubject): void {
  const clock = (): Clock => (subject.expiry === "clock" ? subject.clock : REAL_TIME);
  const coherenceOf = (backend: Backend): Coherence | undefined =>
    typeof backend.coherence === "object" ? backend.coherence : undefined;

  interface Scene {
    readonly listener: RecordingListener;
    readonly detach: () => Promise<void>;
    readonly coherence: Coherence;
    readonly own: Backend;
    readonly other: Backend;
    /** Reads here, as a cache does before it depends on a key: changes are reported of what was read. */
    readonly watch: (...keys: readonly string[]) => Promise<readonly (StoredAnswer | undefined)[]>;
  }

  /** A listener in this process, and another process that makes changes; `undefined` if there cannot be both. */
  const listen = async (): Promise<Scene | undefined> => {
    const own = subject.backend;
    const coherence = coherenceOf(own);
    if (coherence === undefined || !subject.hasPeers) return undefined;
    const listener = listenerOf(own);
    return {
      listener,
      detach: await coherence.attach(listener),
      coherence,
      own,
      other: await subject.other(),
      watch: (...keys) => Promise.all(keys.map((key) => own.read(key))),
    };
  };

  const listenerOf = (backend: Backend): RecordingListener =>
    new RecordingListener(clock(), patienceMs, async () => {
      // A backend may poll for changes, at least once per `maxStalenessMs`.
      if (subject.expiry === "clock") await beat(coherenceOf(backend)!);
    });

  /** Lets a part of the time pass within which a sign of life is due. */
  const beat = async (coherence: Coherence): Promise<void> => {
    const stepMs = (coherence.maxStalenessMs ?? MAX_STALENESS_MS) / STEPS;
    if (subject.expiry === "server") return scheduler.wait(stepMs);
    subject.clock.advance(stepMs);
    return flush();
  };

  /** How long a report may take on a busy machine: most of the time that its test has. */
  let patienceMs: number;

  describe("coherence, if it has it:", () => {
    beforeEach(({ task }) => void (patienceMs = 0.6 * task.timeout));

    it("bounds unreported changes by lengths of time", () => {
      const coherence = coherenceOf(subject.backend);
      expect(coherence?.maxStalenessMs ?? MAX_STALENESS_MS).toBeGreaterThan(0);
      expect(coherence?.reissueWindowMs ?? 0).toBeGreaterThanOrEqual(0);
    });

    it.each<[string, (backend: Backend) => Promise<unknown> | undefined]>([
      ["write", (backend) => backend.write(KEY, stored({ version: V2 }))],
      ["remove", (backend) => backend.remove(KEY)],
      ["markStale", (backend) => backend.markStale?.(KEY)],
      [
        "leases.store",
        async (backend) => {
          await backend.leases?.acquire({ key: KEY, token: TOKEN, leaseMs: MINUTE, seen: V1 });
          await backend.leases?.store(KEY, TOKEN, V1, stored({ version: TOKEN }));
        },
      ],
    ])("reports changes of an entry by another process: %s", async (_, change) => {
      await subject.backend.write(KEY, stored({ version: V1 }));
      const scene = await listen();
      if (scene?.other[_.split(".")[0] as "leases"] === undefined) return;
      const [found] = await scene.watch(KEY);
      // It may hide changes until it ends.
      if (found?.behind !== undefined) return;
      await change(scene.other);
      await scene.listener.waitForReport(KEY);
    });

    it.each<[string, (backend: Backend) => Promise<unknown> | undefined]>([
      ["write", (backend) => backend.write(KEY, stored())],
      ["remove", (backend) => backend.remove(KEY)],
      ["markStale", (backend) => backend.markStale?.(KEY)],
    ])("reports a change even without an entry, because a load of it may be running: %s", async (operation, change) => {
      const scene = await listen();
      if (scene?.other[operation as "markStale"] === undefined) return;
      await scene.watch(KEY);
      await change(scene.other);
      await scene.listener.waitForReport(KEY);
    });

    it("reports the second change as it did the first, once the key is read again", async () => {
      const scene = await listen();
      if (scene === undefined) return;
      for (const change of [
        () => scene.other.write(KEY, stored()),
        () => scene.other.remove(KEY),
        () => scene.other.write(KEY, stored()),
        () => scene.other.write(KEY, stored()),
      ]) {
        await scene.watch(KEY);
        scene.listener.forget();
        await change();
        await scene.listener.waitForReport(KEY);
      }
    });

    it("reports many changes together", async () => {
      const scene = await listen();
      if (scene === undefined) return;
      const keys = Array.from({ length: 300 }, (_, i) => `${KEY}${i}`);
      await scene.watch(...keys);
      await Promise.all(
        keys.map((key, i) => (i % 2 === 0 ? scene.other.write(key, stored()) : scene.other.remove(key))),
      );
      for (const key of keys) await scene.listener.waitForReport(key);
    });

    it("reports peculiar keys", async () => {
      const scene = await listen();
      if (scene === undefined) return;
      await scene.watch(...PECULIAR_KEYS.map(([, key]) => key));
      for (const [, key] of PECULIAR_KEYS) await scene.other.remove(key);
      for (const [, key] of PECULIAR_KEYS) await scene.listener.waitForReport(key);
    });

    it.each([
      ["none is there", undefined],
      ["one is there", V1],
    ])("reports a released lease, for processes that wait for its entry: %s", async (_, there) => {
      if (there !== undefined) await subject.backend.write(KEY, stored({ version: there }));
      const scene = await listen();
      const leases = scene?.other.leases;
      if (scene === undefined || leases === undefined) return;
      await leases.acquire({ key: KEY, token: TOKEN, leaseMs: MINUTE, seen: there ?? "" });
      // As a process that waits for the lease has done.
      await scene.own.leases!.acquire({ key: KEY, token: "another-token___", leaseMs: MINUTE, seen: there ?? "" });
      scene.listener.forget();
      await leases.release(KEY, TOKEN);
      await scene.listener.waitForReport(KEY, "leaseChanged");
      expect((await scene.own.read(KEY))?.version).toBe(there);
    });

    it("reports that a refused store freed the lease", async () => {
      const scene = await listen();
      const leases = scene?.other.leases;
      if (scene === undefined || leases === undefined) return;
      await leases.acquire({ key: KEY, token: TOKEN, leaseMs: MINUTE, seen: "" });
      await scene.watch(KEY);
      scene.listener.forget();
      expect(await leases.store(KEY, TOKEN, V1, stored())).toBe(false);
      await scene.listener.waitForReport(KEY, "leaseChanged");
    });

    it("reports the lease of an own store behind the store, and before any later change, if it reports leases exactly", async () => {
      await subject.backend.write(KEY, stored({ version: V1 }));
      const scene = await listen();
      const leases = scene?.own.leases;
      if (scene === undefined || leases === undefined) return;
      await scene.watch(KEY);
      await leases.acquire({ key: KEY, token: TOKEN, leaseMs: MINUTE, seen: V1 });
      scene.listener.forget();
      await leases.store(KEY, TOKEN, V1, stored({ version: TOKEN }));
      await scene.other.remove(KEY);
      await leases.confirm(KEY);
      const reports = scene.listener.reports
        .filter(({ keys, what, order }) => keys.includes(KEY) && (what === "changed" || order === "exact"))
        .map(({ what }) => what);
      if (!reports.includes("leaseChanged")) return;
      // A store in several steps may be reported as often.
      expect(reports.filter((each, i) => each !== reports[i - 1])).toEqual(["changed", "leaseChanged", "changed"]);
    });

    it("reports an own renewal over nothing behind its change, and before any later one, if it distinguishes it", async () => {
      const scene = await listen();
      const leases = scene?.own.leases;
      if (scene === undefined || leases === undefined) return;
      await scene.watch(KEY);
      await leases.acquire({ key: KEY, token: TOKEN, leaseMs: MINUTE, seen: "" });
      // Behind the report of the lease that was taken.
      await leases.confirm(KEY);
      scene.listener.forget();
      expect(await leases.renew(KEY, TOKEN, MINUTE)).toBe(true);
      await scene.other.write(KEY, stored());
      await leases.confirm(KEY);
      const reports = scene.listener.reports.filter(({ keys }) => keys.includes(KEY));
      if (!reports.some(({ order }) => order === "renewed")) return;
      expect(reports.map(({ what, order }) => order ?? what)).toEqual(["changed", "renewed", "changed"]);
    });

    it("reports a life that another process prolonged: copies have the former one", async () => {
      await subject.backend.write(KEY, stored({ version: V1 }));
      const scene = await listen();
      const leases = scene?.other.leases;
      if (scene === undefined || leases === undefined) return;
      const [found] = await scene.watch(KEY);
      if (found?.behind !== undefined) return;
      expect(await leases.touch(KEY, V1, { staleInMs: 120_000, expiresInMs: 180_000, meta: "json none" })).toBe(true);
      await scene.listener.waitForReport(KEY);
    });

    it("reports of two changes of one key at least one that a copy of the earlier one does not outlive", async () => {
      const scene = await listen();
      const leases = scene?.own.leases;
      if (scene === undefined || leases === undefined) return;
      const third = await subject.other();
      for (let round = 0; round < 20; round += 1) {
        const key = `${KEY}${round}`;
        await scene.watch(key);
        scene.listener.versions.delete(key);
        await Promise.all([
          apart(0, round).then(() => scene.other.write(key, stored({ version: V1 }))),
          apart(1, round).then(() => third.write(key, stored({ version: V2 }))),
        ]);
        // All that was acknowledged is reported before its answer.
        const version = await leases.confirm(key);
        // A report that names a version keeps a copy of it: one of them must name the last one, or none.
        const named = scene.listener.versions.get(key) ?? [];
        expect(named.includes(undefined) || named.includes(version), `round ${round}: ${String(named)}`).toBe(true);
      }
    });

    it.each([
      ["over an entry", V1, []],
      ["over nothing", "", ["changed"]],
    ] as const)("reports no lease %s that is taken or renewed: nothing changed", async (_, seen, reported) => {
      // They share a slot, so that their reports come in order in a cluster, too.
      const [key, first, last] = ["test::{lease}", "test::{lease}first", "test::{lease}last"] as const;
      // Before anything listens: its change may be reported more than once.
      if (seen !== "") await (await subject.other()).write(key, stored({ version: seen }));
      const scene = await listen();
      const leases = scene?.other.leases;
      if (scene === undefined || leases === undefined) return;
      await scene.watch(key, first, last);
      // A message of that write may still be under way.
      await scene.other.remove(first);
      await scene.listener.waitForReport(first);
      scene.listener.forget();
      await leases.acquire({ key, token: TOKEN, leaseMs: MINUTE, seen });
      await leases.renew(key, TOKEN, MINUTE);
      await leases.acquire({ key, token: "another-token___", leaseMs: MINUTE, seen });
      await scene.other.remove(last);
      await scene.listener.waitForReport(last);
      const reports = scene.listener.reports.filter(({ keys }) => keys.includes(key));
      const changes = reports.flatMap(({ what }) => (what === "leaseChanged" ? [] : [what]));
      expect(changes).toEqual(subject.leasesReplaceMissing ? reported : []);
    });

    it.each(["hard", "soft"] as const)("reports tags that were renewed: %s", async (mode) => {
      await subject.backend.tagVersions?.pin([TAG]);
      const scene = await listen();
      const tags = scene?.other.tagVersions;
      if (scene === undefined || tags === undefined) return;
      await scene.own.tagVersions!.read([TAG, OTHER_TAG]);
      await tags.renew([TAG, OTHER_TAG], mode);
      await scene.listener.waitForReport(TAG, "tagsChanged");
      await scene.listener.waitForReport(OTHER_TAG, "tagsChanged");
      await scene.own.tagVersions!.read([TAG]);
      scene.listener.forget();
      await tags.renew([TAG], "hard");
      await scene.listener.waitForReport(TAG, "tagsChanged");
    });

    it("reports the version that a pin of another process issued, to a process that read it as missing", async () => {
      const scene = await listen();
      const tags = scene?.other.tagVersions;
      if (scene === undefined || tags === undefined) return;
      expect(await scene.own.tagVersions!.read([TAG])).toEqual([undefined]);
      await tags.pin([TAG]);
      await scene.listener.waitForReport(TAG, "tagsChanged");
    });

    it("reports a renewal after a pin, also of a tag that was never read: a loader may yet add it", async () => {
      const scene = await listen();
      const tags = scene?.other.tagVersions;
      if (scene === undefined || tags === undefined) return;
      await scene.own.tagVersions!.pin([OTHER_TAG]);
      await tags.pin([TAG]);
      await scene.own.tagVersions!.pin([OTHER_TAG]);
      scene.listener.forget();
      await tags.renew([TAG], "hard");
      await scene.listener.waitForAnyTag();
    });

    it("reports to every listener, until that one is detached", async () => {
      const scene = await listen();
      if (scene === undefined) return;
      const second = listenerOf(scene.own);
      await scene.coherence.attach(second);
      await scene.watch(`${KEY}1`, `${KEY}2`);
      await scene.other.write(`${KEY}1`, stored());
      await Promise.all([scene.listener.waitForReport(`${KEY}1`), second.waitForReport(`${KEY}1`)]);

      await scene.detach();
      scene.listener.forget();
      await scene.other.write(`${KEY}2`, stored());
      await second.waitForReport(`${KEY}2`);
      expect(scene.listener.reports).toEqual([]);
    });

    it("reports to a listener that is attached once more", async () => {
      const scene = await listen();
      if (scene === undefined) return;
      await scene.detach();
      const detach = await scene.coherence.attach(scene.listener);
      await scene.watch(KEY);
      scene.listener.forget();
      await scene.other.write(KEY, stored());
      await scene.listener.waitForReport(KEY);
      await detach();
    });

    it("reports nothing once it is closed", async () => {
      const scene = await listen();
      if (scene === undefined) return;
      const witness = listenerOf(scene.other);
      await coherenceOf(scene.other)!.attach(witness);
      await scene.watch(KEY);
      await scene.other.read(KEY);
      await scene.own.close();
      scene.listener.forget();
      const third = await subject.other();
      await third.write(KEY, stored());
      await witness.waitForReport(KEY);
      expect(scene.listener.reports.filter(({ what }) => what !== "lost")).toEqual([]);
    });

    it("has reported every acknowledged change of a key before confirm answers about it", async () => {
      const scene = await listen();
      const leases = scene?.own.leases;
      if (scene === undefined || leases === undefined) return;
      for (let round = 0; round < 50; round += 1) {
        await scene.watch(`${KEY}${round}`);
        await scene.other.write(`${KEY}${round}`, stored());
        await leases.confirm(`${KEY}${round}`);
        expect(scene.listener.hasReport(`${KEY}${round}`), `round ${round}`).toBe(true);
      }
    });

    it("sends signs of life, the first within the time that copies may be stale, and none before an earlier report", async () => {
      const scene = await listen();
      if (scene === undefined) return;
      const { listener, coherence, own, other } = scene;
      const acknowledged: { readonly key: string; readonly at: number }[] = [];
      for (let step = 0; step < STEPS || (listener.signs.length < 3 && step < 3 * STEPS); step += 1) {
        const key = `${KEY}${step}`;
        await scene.watch(key);
        await other.write(key, stored());
        acknowledged.push({ key, at: clock().now() });
        await beat(coherence);
      }
      expect(listener.signs.length).toBeGreaterThanOrEqual(3);
      /** A sign of one part says nothing about the others. */
      const latest = new Map<string | undefined, number>();
      for (const { sentAtMs, at, position, part } of listener.signs) {
        expect(sentAtMs).toBeLessThanOrEqual(at);
        expect(sentAtMs).toBeGreaterThanOrEqual(latest.get(part) ?? -Infinity);
        latest.set(part, sentAtMs);
        for (const change of acknowledged)
          if (change.at < sentAtMs && (part === undefined || own.parts?.of(change.key) === part))
            expect(
              listener.hasReport(change.key, "changed", position),
              `${change.key} before the sign of ${sentAtMs}`,
            ).toBe(true);
      }
      expect(listener.reports.filter(({ what }) => what === "lost")).toEqual([]);
    });

    it("answers confirm with what is there, or reports the change", async () => {
      const scene = await listen();
      const leases = scene?.own.leases;
      if (scene === undefined || leases === undefined) return;
      const { listener, own, other, watch } = scene;
      await own.write(KEY, stored({ version: V1 }));
      for (let round = 0; round < 40; round += 1) {
        await watch(KEY);
        // What is reported from here on is no change of an earlier round: each of them has been received.
        await leases.confirm(KEY);
        listener.forget();
        const confirming = leases.confirm(KEY);
        // A little later in each round: at some point the change comes between the steps of a confirm that has several.
        if (round % 2 === 1) await scheduler.wait(0);
        for (let later = 0; later < round; later += 1) await Promise.resolve();
        const write = other.write(KEY, stored({ version: round % 2 === 0 ? V2 : V1 }));
        const [version] = await Promise.all([confirming, write]);
        if (version !== (await leases.confirm(KEY))) await listener.waitForReport(KEY);
      }
    });

    it("says that it lost its link, and works again once it is attached again", async (test) => {
      const scene = subject.cut === undefined ? undefined : await listen();
      // Shown as skipped: nothing was cut, so nothing was seen.
      if (scene === undefined) return test.skip();
      const { listener, coherence, own, other, watch } = scene;
      const lost = (): boolean => listener.reports.some(({ what }) => what === "lost");
      await subject.cut!(own);
      for (let step = 0; step < 4 * STEPS && !lost(); step += 1) await beat(coherence);
      expect(lost(), "lost() was called").toBe(true);
      await scene.detach();
      await coherence.attach(listener);
      await watch(KEY);
      listener.forget();
      await other.write(KEY, stored());
      await listener.waitForReport(KEY);
    });

    it("may report this process's own changes, under the same names", async () => {
      const scene = await listen();
      if (scene === undefined) return;
      await scene.watch(KEY, `${KEY}last`);
      await scene.own.write(KEY, stored());
      await scene.other.write(`${KEY}last`, stored());
      await scene.listener.waitForReport(`${KEY}last`);
      const names = [KEY, `${KEY}last`];
      for (const { what, keys } of scene.listener.reports)
        if (what === "changed") expect(names).toEqual(expect.arrayContaining([...keys]));
    });
  });
}

type Reported = "changed" | "leaseChanged" | "tagsChanged";

interface Report {
  readonly what: "changed" | "leaseChanged" | "tagsChanged" | "everythingChanged" | "replaced" | "lost";
  readonly keys: readonly string[];
  /** Only for a lease. */
  readonly order?: "loose" | "exact" | "renewed" | undefined;
}

/** A sign of life: when it was sent, when it arrived, after how many reports, and of which part of the store. */
interface Sign {
  readonly sentAtMs: number;
  readonly at: number;
  readonly position: number;
  readonly part: string | undefined;
}

/** A listener that records its notifications, and on which a test can wait. */
class RecordingListener implements CoherenceListener {
  readonly reports: Report[] = [];
  readonly signs: Sign[] = [];
  /** The version that each report of a key named, `undefined` for one that named none. */
  readonly versions = new Map<string, (string | undefined)[]>();
  readonly #clock: Clock;
  readonly #patienceMs: number;
  readonly #waitFor: () => Promise<void>;
  readonly #waiting = new Set<() => void>();

  /** @param waitFor lets time pass, if the suite moves it. */
  constructor(clock: Clock, patienceMs: number, waitFor: () => Promise<void>) {
    this.#clock = clock;
    this.#patienceMs = patienceMs;
    this.#waitFor = waitFor;
  }

  forget(): void {
    this.reports.length = 0;
    this.signs.length = 0;
  }

  /**
   * @param what a change of an entry reports its lease, too.
   * @param until number of reports that count.
   */
  hasReport(key: string, what: Reported = "changed", until: number = this.reports.length): boolean {
    return this.reports
      .slice(0, until)
      .some(
        (report) =>
          report.what === "everythingChanged" ||
          ((report.what === what || (what === "leaseChanged" && report.what === "changed")) &&
            report.keys.includes(key)),
      );
  }

  /** Resolves when any tag has been reported. */
  waitForAnyTag(): Promise<void> {
    const isOfTags = ({ what }: Report): boolean => what === "tagsChanged" || what === "everythingChanged";
    return this.#until(() => this.reports.some(isOfTags), "any tag");
  }

  /** Resolves when `key` has been reported. */
  waitForReport(key: string, what: Reported = "changed"): Promise<void> {
    return this.#until(() => this.hasReport(key, what), `${what} for ${JSON.stringify(key.slice(0, 80))}`);
  }

  async #until(isReported: () => boolean, what: string): Promise<void> {
    for (let step = 0; step < STEPS && !isReported(); step += 1) await this.#waitFor();
    const end = new AbortController();
    const tooLate = scheduler.wait(this.#patienceMs, { signal: end.signal }).then(
      () => {
        const others = JSON.stringify(this.reports).slice(0, 500);
        throw new Error(`no report of ${what} within ${this.#patienceMs} ms, but of ${others}`);
      },
      () => undefined,
    );
    while (!isReported()) await Promise.race([tooLate, new Promise<void>((resolve) => this.#waiting.add(resolve))]);
    end.abort();
  }

  now(): number {
    return this.#clock.now();
  }

  changed(keys: readonly string[], versions?: ReadonlyMap<string, string>): void {
    for (const key of keys) this.versions.set(key, [...(this.versions.get(key) ?? []), versions?.get(key)]);
    this.#note("changed", keys);
  }

  leaseChanged(keys: readonly string[], order?: "loose" | "exact" | "renewed"): void {
    this.#note("leaseChanged", keys, order);
  }

  tagsChanged(tags: readonly string[]): void {
    this.#note("tagsChanged", tags);
  }

  everythingChanged(): void {
    this.#note("everythingChanged", []);
  }

  replaced(): void {
    this.#note("replaced", []);
  }

  lost(): void {
    this.#note("lost", []);
  }

  alive(sentAtMs: number, part?: string): void {
    this.signs.push({ sentAtMs, at: this.#clock.now(), position: this.reports.length, part });
  }

  #note(what: Report["what"], keys: readonly string[], order?: Report["order"]): void {
    this.reports.push({ what, keys, order });
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

const TOKEN = "token-of-other__";
const V1 = "version-1_______";
const V2 = "version-2_______";
const TAG = "{~shop}:users::admins";
const OTHER_TAG = "{~shop}:users::";
const MINUTE = 60_000;
const MAX_STALENESS_MS = 2_000;
/** Number of parts in which that time passes. */
const STEPS = 16;

/** For stores with their own clock. */
const REAL_TIME: Clock = {
  now: () => Number(process.hrtime.bigint()) / 1e6,
  schedule(callback, delayMs) {
    const timer = timers.setTimeout(callback, delayMs);
    timer.unref();
    return () => timers.clearTimeout(timer);
  },
};
