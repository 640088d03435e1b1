import type { Exporter, Instrument, Sample } from "./instrument.ts";

/** The figures of a follower, as `follow` of `@hotset/postgres-follow` gives them. */
export interface FollowFigures {
  /** Asked at each collection. Never throws. */
  stats(): {
    readonly role: string;
    readonly lagBytes: number | undefined;
    readonly lagMs: number | undefined;
    readonly changes: number;
    readonly calls: number;
    readonly clears: number;
  };
}

type Figures = ReturnType<FollowFigures["stats"]>;

const LAG: Instrument = {
  kind: "gauge",
  name: "cache.follow.lag",
  unit: "By",
  help: "Log of the database that is not invalidated yet. Absent while the database is down.",
  labels: ["follower"],
};

const DELAY: Instrument = {
  kind: "gauge",
  name: "cache.follow.delay",
  unit: "s",
  help: "Age of the oldest commit that is not invalidated yet. Absent where another process follows.",
  labels: ["follower"],
};

const ROLE: Instrument = {
  kind: "gauge",
  name: "cache.follow.active",
  unit: "{process}",
  help: "1 in the process that follows.",
  labels: ["follower"],
};

const EVENTS: Instrument = {
  kind: "counter",
  name: "cache.follow.events",
  unit: "{event}",
  help: "Changes read from the log, calls of the cache for them, and clears because changes may have been missed.",
  labels: ["follower", "event"],
};

/** Reads the figures at each collection. */
export function connectFollowers(exporter: Exporter, followers: Readonly<Record<string, FollowFigures>>): void {
  const all = Object.entries(followers);
  if (all.length === 0) return;
  const observe = (instrument: Instrument, read: (figures: Figures) => number | undefined): void =>
    exporter.observe(instrument, () =>
      all.flatMap(([follower, each]): readonly Sample[] => {
        const value = read(each.stats());
        return value === undefined ? [] : [[{ follower }, value]];
      }),
    );
  observe(LAG, ({ lagBytes }) => lagBytes);
  observe(DELAY, ({ lagMs }) => (lagMs === undefined ? undefined : lagMs / 1_000));
  observe(ROLE, ({ role }) => (role === "following" ? 1 : 0));
  exporter.observe(EVENTS, () =>
    all.flatMap(([follower, each]) => {
      const { changes, calls, clears } = each.stats();
      return Object.entries({ changes, calls, clears }).map(([event, value]): Sample => [{ follower, event }, value]);
    }),
  );
}
