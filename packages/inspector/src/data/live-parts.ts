import { hostname } from "node:os";
import { findings, type Picture } from "./findings.ts";
import { invalidationsPage, type InvalidationsPage } from "./invalidations.ts";
import {
  PAGES,
  type Finding,
  type FleetPage,
  type Listed,
  type Live,
  type PageName,
  type RedisPage,
  type StalePage,
  type StampedesPage,
  type Status,
} from "./pages.ts";
import type { Polled } from "./polled.ts";
import type { Settings } from "../options.ts";
import type { Subject } from "./subject.ts";
import type { Toolkit } from "./toolkit.ts";

const LISTED = 100;
const SHARED_MS = 200;

/** The state that pages show, made when a stream asks for it. */
export class LiveParts {
  readonly #settings: Settings;
  readonly #subjects: readonly Subject[];
  readonly #toolkit: Toolkit | undefined;
  #made: { readonly at: number; readonly page: InvalidationsPage } | undefined;

  constructor(settings: Settings, subjects: readonly Subject[], toolkit: Toolkit | undefined) {
    this.#settings = settings;
    this.#subjects = subjects;
    this.#toolkit = toolkit;
  }

  /** The parts of `page`, and those of every page. */
  of(page: PageName): Live {
    return { status: this.status(), findings: this.#findings(), ...this.#page(page) };
  }

  status(): Status {
    return {
      process: `${hostname()}:${process.pid}`,
      caches: this.#subjects.map((subject) => subject.status()),
      pages: PAGES.filter((page) => this.has(page)),
      canWrite: this.#settings.write,
    };
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

  #page(page: PageName): Live {
    switch (page) {
      case "overview":
        return {
          overview: this.#subjects.map((subject) => subject.overview()),
          history: Object.fromEntries(this.#subjects.map(({ name, history }) => [name, history.samples])),
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
    return {
      groups: this.#subjects.flatMap(({ name: cache, inspection }) =>
        inspection.groups().map((group) => ({ cache, ...group })),
      ),
      namespaces: this.#subjects.flatMap(({ name: cache, inspection }) =>
        inspection
          .namespaces()
          .map((namespace) => ({ cache, ...namespace }))
          .toSorted((one, other) => other.misses - one.misses)
          .slice(0, LISTED),
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
    const known = this.#subjects.map(({ name: cache, fleet }) => ({ cache, ...fleet.current() }));
    return {
      processes: known.flatMap(({ cache, value = [] }) => value.map((each) => ({ cache, ...each }))),
      silences: known.flatMap(({ cache, silence }) => (silence === null ? [] : [{ cache, ...silence }])),
    };
  }

  #findings(): readonly Finding[] {
    const now = Date.now();
    const { bursts } = this.#invalidations();
    const server = this.#toolkit?.server.current();
    const picture: Picture = {
      caches: this.#subjects.map((subject) => pictureOf(subject, now)),
      hasRedisPage: this.has("redis"),
      bursts,
      // Without new records, nothing is known of the others.
      processes: this.#subjects
        .filter(({ fleet }) => fleet.current().silence === null)
        .flatMap(({ name: cache, fleet }) => (fleet.current().value ?? []).map((each) => ({ cache, ...each })))
        .map(({ cache, name, at, trust }) => ({ cache, name, silentMs: now - at, isTrusted: trust !== "none" })),
      queues: this.#toolkit?.queues.current().value ?? [],
      servers: server?.value?.servers ?? [],
      silence: server?.silence ?? null,
      followers: Object.entries(this.#settings.followers).map(([name, each]) => ({ name, ...each.stats() })),
    };
    return findings(picture, now);
  }
}

function pictureOf(subject: Subject, now: number): Picture["caches"][number] {
  const { tiers, pending } = subject.overview();
  const [busiest] = subject.loads();
  const fallbacks = subject.inspection.fallbacks();
  const failures = subject.inspection.failures();
  const error = fallbacks.find((each) => each.error !== undefined)?.error;
  return {
    name: subject.name,
    tiers: tiers.map(({ label, state, since }) => ({
      label,
      state,
      since: since ?? undefined,
      failure: failures.find(({ tier }) => tier === label),
    })),
    pending,
    lastMinute: subject.history.lastMinute(now),
    lastError: subject.lastError,
    busiest: busiest && { key: busiest.key, callers: busiest.callers, forMs: busiest.forMs },
    fallbacks: { keys: fallbacks.length, error: error && `${error.name}: ${error.message}` },
  };
}
