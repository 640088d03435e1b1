import { hostname } from "node:os";
import type { Settings } from "../options.ts";
import type { CachePicture, Picture, ProcessPicture } from "../rules/picture.ts";
import { findings } from "../rules/rules.ts";
import { FindingLog } from "./finding-log.ts";
import { invalidationsPage, THIS_PROCESS, type InvalidationsPage } from "./invalidations.ts";
import {
  PAGES,
  type Finding,
  type FleetPage,
  type KeyFigures,
  type Listed,
  type Live,
  type PageName,
  type RedisPage,
  type StalePage,
  type StampedesPage,
  type Status,
} from "./pages.ts";
import type { Polled } from "./polled.ts";
import type { Subject } from "./subject.ts";
import type { Toolkit } from "./toolkit.ts";

const LISTED = 100;
const SHARED_MS = 200;
/** Found by the processes that are left. */
const OF_THE_DEAD: readonly string[] = ["silent", "restarts"];
/** Between two looks at the servers of the toolkit while no page shows them. */
const UNSEEN_MS = 15_000;

/** The state that pages show, made when a stream asks for it. */
export class LiveParts {
  readonly #settings: Settings;
  readonly #subjects: readonly Subject[];
  readonly #toolkit: Toolkit | undefined;
  readonly #log = new FindingLog();
  #lookedAt = 0;
  #made: { readonly at: number; readonly page: InvalidationsPage } | undefined;

  constructor(settings: Settings, subjects: readonly Subject[], toolkit: Toolkit | undefined) {
    this.#settings = settings;
    this.#subjects = subjects;
    this.#toolkit = toolkit;
  }

  /** The parts of `page`, and those of every page. */
  of(page: PageName): Live {
    const now = Date.now();
    // Asked for again while someone looks; otherwise heartbeats are what is known of other processes.
    for (const { fleet } of this.#subjects) fleet.current();
    this.#toolkit?.look();
    this.#toolkit?.queues.current();
    const found = this.#findings(now, this.#invalidations().bursts);
    this.#log.update(found, now);
    const since = found.map((finding) => ({ ...finding, since: this.#log.since(finding.id) ?? null }));
    return { status: this.status(), findings: since, past: this.#log.past, ...this.#page(page, now) };
  }

  /** Remembers what stands out now. @returns the findings that have begun, without those that other processes return. */
  notice(): readonly Finding[] {
    const now = Date.now();
    this.#lookAtServers(now);
    const caches = this.#subjects.map((subject) => ({
      ...{ cache: subject.name, counts: subject.invalidationCounts(now), invalidations: [] },
    }));
    this.#log.update(this.#findings(now, invalidationsPage(caches, now).bursts), now);
    // An open page may have noticed them first.
    const begun = this.#log.takeBegun();
    const own = this.#subjects.flatMap((subject) =>
      subject.processes().flatMap((each) => (each.isOwn ? each.name : [])),
    );
    return begun.filter(
      ({ by, rule }) =>
        by.length === 0 ||
        by.some((name) => own.includes(name) || name === THIS_PROCESS) ||
        (OF_THE_DEAD.includes(rule) && this.#isFirst()),
    );
  }

  /** Whether its name comes first among the living: so one of them says what a process that has ended cannot. */
  #isFirst(): boolean {
    return this.#subjects.some((subject) => {
      const [first] = subject
        .processes()
        .filter(({ isOld, ageMs, everyMs }) => !isOld && ageMs < 2.5 * everyMs)
        .toSorted((one, other) => (one.name < other.name ? -1 : 1));
      return first?.isOwn === true;
    });
  }

  #lookAtServers(now: number): void {
    if (this.#toolkit === undefined || Math.abs(now - this.#lookedAt) < UNSEEN_MS) return;
    this.#lookedAt = now;
    this.#toolkit.lookUnseen().catch(() => undefined);
  }

  status(): Status {
    return {
      process: this.#ownName() ?? `${hostname()}:${process.pid}`,
      caches: this.#subjects.map((subject) => subject.status()),
      pages: PAGES.filter((page) => this.has(page)),
      canWrite: this.#settings.write,
    };
  }

  /** As its heartbeat names it. */
  #ownName(): string | undefined {
    const own = this.#subjects.flatMap((subject) => subject.processes()).find(({ isOwn }) => isOwn);
    return own?.name;
  }

  has(page: PageName): boolean {
    switch (page) {
      case "http":
        return Object.keys(this.#settings.http).length > 0;
      case "redis":
      case "queues":
      case "locks":
      case "limits":
        return this.#toolkit !== undefined;
      default:
        return true;
    }
  }

  #page(page: PageName, now: number): Live {
    switch (page) {
      case "overview":
        return {
          overview: this.#subjects.map((subject) => subject.overview()),
          history: Object.fromEntries(this.#subjects.map(({ name, history }) => [name, history.samples])),
          marks: Object.fromEntries(this.#subjects.map((subject) => [subject.name, subject.marks(now)])),
        };
      case "keys":
        return { keys: this.#keys() };
      case "invalidations":
        return { invalidations: this.#invalidations() };
      case "stampedes":
        return { stampedes: this.#stampedes() };
      case "stale":
        return { stale: this.#stale() };
      case "fleet":
        return { fleet: this.#fleet() };
      case "http":
        return {
          http: { caches: Object.entries(this.#settings.http).map(([name, http]) => ({ name, ...http.stats() })) },
        };
      case "redis":
        return { redis: this.#redis() };
      case "queues":
        return { queues: this.#listed(this.#toolkit!.queues) };
      case "locks":
        return { locks: { ...this.#listed(this.#toolkit!.locks), counts: this.#toolkit!.counts } };
      case "limits": {
        return { limits: { ...this.#toolkit!.limits(), counts: this.#toolkit!.counts } };
      }
    }
  }

  /** Names come from the walk: without names, nothing else is asked. */
  #listed<T>(list: Polled<readonly T[]>): Listed<T> {
    const { value: rows, silence } = list.current();
    return { rows, silence: silence ?? this.#toolkit!.walk.current().silence };
  }

  #redis(): RedisPage {
    const { walk, server, largest } = this.#toolkit!;
    const [{ value: seen, silence }, asked] = [walk.current(), server.current()];
    return {
      server: asked.value,
      largest: largest.current().value,
      groups: seen?.groups ?? [],
      keys: seen?.keys ?? 0,
      isComplete: seen?.isComplete ?? false,
      silence: asked.silence ?? silence,
    };
  }

  #keys(): NonNullable<Live["keys"]> {
    const listed = (of: (subject: Subject) => Pick<Inspected, "groups" | "namespaces">): KeyFigures => ({
      groups: this.#subjects.flatMap((subject) => of(subject).groups.map((each) => ({ cache: subject.name, ...each }))),
      namespaces: this.#subjects.flatMap((subject) =>
        of(subject)
          .namespaces.map((each) => ({ cache: subject.name, ...each }))
          .toSorted((one, other) => other.misses - one.misses)
          .slice(0, LISTED),
      ),
    });
    return {
      ...listed(({ inspection }) => ({ groups: inspection.groups(), namespaces: inspection.namespaces() })),
      recent: listed(({ inspection }) => inspection.recent()!),
      calls: this.#subjects.flatMap(({ name: cache, inspection }) =>
        inspection
          .figures()!
          .groups.flatMap(({ namespace, group, calls }) =>
            calls === undefined ? [] : [{ cache, namespace, ...(group !== undefined && { group }), calls }],
          ),
      ),
    };
  }

  /** Made once for a stream that asks for it twice, and for all streams of about the same time. */
  #invalidations(): InvalidationsPage {
    const now = Date.now();
    if (this.#made === undefined || now - this.#made.at > SHARED_MS || now < this.#made.at)
      this.#made = { at: now, page: this.#newInvalidations(now) };
    return this.#made.page;
  }

  #newInvalidations(now: number): InvalidationsPage {
    return invalidationsPage(
      this.#subjects.map((subject) => ({
        cache: subject.name,
        counts: subject.invalidationCounts(now),
        invalidations: subject.invalidations(),
      })),
      now,
    );
  }

  #stampedes(): StampedesPage {
    const running = this.#subjects.flatMap((subject) => subject.loads());
    return {
      running: running.toSorted((one, other) => other.callers - one.callers).slice(0, LISTED),
      runningTotal: running.length,
      leases: this.#subjects
        .flatMap(({ name: cache, inspection }) => inspection.leases().map((lease) => ({ cache, ...lease })))
        .slice(0, LISTED),
      joined: this.#subjects
        .flatMap((subject) => subject.joined())
        .toSorted((one, other) => other.joined - one.joined)
        .slice(0, LISTED),
    };
  }

  #stale(): StalePage {
    return {
      fallbacks: this.#subjects
        .flatMap(({ name: cache, inspection }) => inspection.fallbacks().map((each) => ({ cache, ...each })))
        .slice(0, LISTED),
      backoffs: this.#subjects
        .flatMap(({ name: cache, inspection }) => inspection.backoffs().map((each) => ({ cache, ...each })))
        .slice(0, LISTED),
    };
  }

  #fleet(): FleetPage {
    return {
      processes: this.#subjects.flatMap((subject) =>
        subject.processes().map(({ figures, ...each }) => ({
          ...each,
          cache: subject.name,
          recentHitRatio: figures?.groups[0]?.recent.hitRatio ?? null,
        })),
      ),
      silences: this.#subjects.flatMap(({ name: cache, fleet }) => {
        const { silence } = fleet.current();
        return silence === null ? [] : [{ cache, ...silence }];
      }),
      refusals: this.#subjects.flatMap(({ name: cache, inspection }) => {
        const failure = inspection.recordFailure();
        return failure === undefined ? [] : [{ cache, ...failure }];
      }),
    };
  }

  /** Asks nothing: pages do. */
  #findings(now: number, bursts: Picture["bursts"]): readonly Finding[] {
    const server = this.#toolkit?.server.last;
    const picture: Picture = {
      caches: this.#subjects.map((subject) => pictureOf(subject)),
      hasRedisPage: this.has("redis"),
      bursts,
      processes: this.#subjects.flatMap((subject) => processesOf(subject, now)),
      starts: this.#subjects.flatMap(({ name: cache, inspection }) =>
        inspection.processStarts().map((start) => ({ cache, ...start })),
      ),
      wide: this.#subjects.flatMap((subject) =>
        subject.wideCalls(now).map((mark) => ({ cache: subject.name, ...mark })),
      ),
      queues: this.#toolkit?.queues.last.value ?? [],
      servers: server?.value?.servers ?? [],
      elsewhere: this.#toolkit?.elsewhere.last.value ?? [],
      keyGroups: this.#toolkit?.walk.last.value?.groups ?? [],
      silence: server?.silence ?? null,
      followers: Object.entries(this.#settings.followers).map(([name, each]) => ({ name, ...each.stats() })),
    };
    return findings(picture, now);
  }
}

type Inspected = NonNullable<ReturnType<Subject["inspection"]["recent"]>>;

/** The processes of a cache: this one as it knows itself, the others as their records say. */
function processesOf(subject: Subject, now: number): readonly ProcessPicture[] {
  const { name: cache, inspection, fleet } = subject;
  const all = subject.processes();
  const own = all.find(({ isOwn }) => isOwn);
  const isAlone = all.every(({ isOwn }) => isOwn);
  // Without new records, nothing is known of the others.
  const isKnown = fleet.last.silence === null && inspection.recordFailure() === undefined;
  return [
    {
      ...{
        cache,
        name: isAlone ? undefined : own?.name,
        id: own?.id,
        startedAt: own?.startedAt ?? now - 1_000 * process.uptime(),
        silentMs: 0,
        clockAheadMs: 0,
      },
      ...{ everyMs: own?.everyMs ?? 0, isTrusted: own?.trust !== "none", figures: inspection.figures() },
      settings: own?.settings,
    },
    ...(isKnown ? all : []).flatMap(
      ({ isOwn, id, name, startedAt, at, clockAheadMs, everyMs, trust, figures, settings }) =>
        isOwn
          ? []
          : [
              {
                ...{ cache, id, name, startedAt, clockAheadMs, everyMs, figures, settings },
                silentMs: Math.max(1, now - at),
                isTrusted: trust !== "none",
              },
            ],
    ),
  ];
}

function pictureOf(subject: Subject): CachePicture {
  const { tiers, pending } = subject.overview();
  const [busiest] = subject.loads();
  const fallbacks = subject.inspection.fallbacks();
  const failures = subject.inspection.failures();
  const error = fallbacks.find((each) => each.error !== undefined)?.error;
  const [first, ...others] = fallbacks.map(({ namespace }) => namespace);
  return {
    name: subject.name,
    tiers: tiers.map(({ label, state, since }) => ({
      label,
      state,
      since: since ?? undefined,
      failure: failures.find(({ tier }) => tier === label),
    })),
    pending,
    busiest,
    fallbacks: {
      keys: fallbacks.length,
      namespace: (first ?? []).filter((_, i) => others.every((each) => each[i] === first![i])),
      error: error && `${error.name}: ${error.message}`,
    },
    recordFailure: subject.inspection.recordFailure(),
  };
}
