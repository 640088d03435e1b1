import type { Violation } from "./checker.ts";
import type { Change, History, Instant, Load, Read } from "./history.ts";

/** The time shown before and after a violation; a violation without a key shows all. */
const BEFORE_MS = 4_000;
const AFTER_MS = 50;
/** Beyond this the oldest are left out. */
const MOST_LINES = 70;

interface Line {
  readonly at: Instant;
  readonly text: string;
  readonly ids: readonly string[];
  /** Lines that changed nothing are left out first. */
  readonly isPlain: boolean;
  /** Shown with its begin and end where it overlaps the time that is shown. */
  readonly isFault?: boolean;
}

/**
 * The events of the key of a violation, in the order of time: one line for each call, load, fault and change of
 * state, and `<<<` at those that show the violation.
 */
export function timeline(history: History, violation: Violation): string {
  const { key } = violation;
  const concerned = history.changes.filter(({ id }) => violation.ids.includes(id)).map(({ startedAt }) => startedAt);
  const from = key === undefined ? 0 : Math.min(violation.at - BEFORE_MS, ...concerned.map((at) => at - 100));
  const to = violation.at + AFTER_MS;
  const all: Line[] = [
    ...history.changes
      .filter(
        ({ id, keys, touches }) =>
          keys.some(([each]) => each === key) || touches?.includes(key ?? "") === true || violation.ids.includes(id),
      )
      .map((change) => ofChange(change, key)),
    ...history.reads.filter((read) => read.key === key || violation.ids.includes(read.id)).map(ofRead),
    ...history.loads.filter((load) => load.key === key).flatMap(ofLoad),
    ...history.faults
      .filter((fault) => fault.from <= to && fault.to >= from)
      .flatMap(({ kind, from: began, to: ended, processes, jumpMs }) => [
        {
          ...line(
            began,
            "nemesis",
            kind +
              (jumpMs === undefined ? "" : `, by ${jumpMs} ms`) +
              (processes === undefined ? "" : ` of ${processes.join(", ")}`),
          ),
          isFault: true,
        },
        { ...line(ended, "nemesis", `${kind}: over`), isFault: true },
      ]),
    ...statesOf(history),
    ...history.failures.map(({ at, process, operation, code }): Line => ({
      ...line(at, process, `backend failed: ${operation}: ${code}`),
      isPlain: true,
    })),
  ].filter(
    ({ at, ids, isFault }) =>
      isFault === true || (from <= at && at <= to) || ids.some((id) => violation.ids.includes(id)),
  );
  const lines = withinLimit(
    all.sort((a, b) => a.at - b.at),
    violation,
  );
  return [
    `${violation.rule}: ${violation.text}`,
    ...lines.map(
      ({ at, text, ids }) => `${seconds(at)}  ${text}${ids.some((id) => violation.ids.includes(id)) ? "   <<<" : ""}`,
    ),
  ].join("\n");
}

function ofChange(change: Change, key: string | undefined): Line {
  const covered = change.keys
    .filter(([each]) => key === undefined || each === key)
    .map(([each, version]) => `${each} → ${version}`)
    .join(", ");
  const end =
    change.endedAt === undefined
      ? "never settled"
      : `${change.status}${change.error === undefined ? "" : ` (${change.error})`} after ${took(change.startedAt, change.endedAt)}`;
  return {
    ...line(
      change.startedAt,
      change.process,
      `${change.kind}${change.mode === "soft" ? " (soft)" : ""}, source ${covered}: ${end}`,
    ),
    ids: [change.id],
    isPlain: false,
  };
}

function ofRead(read: Read): Line {
  const answer =
    read.error ??
    (read.version === undefined ? "nothing" : `${read.version}${read.freshness === "stale" ? ", stale" : ""}`);
  const how = [
    read.tier && `from ${read.tier}`,
    read.coalesced === true && "shared",
    read.after && `current, after ${read.after.version}`,
    read.forced === true && "forced",
  ]
    .filter(Boolean)
    .join(", ");
  const many = read.firstStartedAt === undefined ? "" : ` again and again since ${seconds(read.firstStartedAt)}`;
  return {
    ...line(
      read.startedAt,
      read.process,
      `${read.kind}${many}: ${answer}${how === "" ? "" : ` (${how})`}, ${took(read.startedAt, read.endedAt)}`,
    ),
    ids: [read.id],
    isPlain: true,
  };
}

function ofLoad(load: Load): readonly Line[] {
  const began = {
    ...line(
      load.startedAt,
      load.process,
      `load begins${load.forced ? ", forced" : ""}${load.isAlone === true ? ", without a lease" : ""}`,
    ),
    ids: [load.id],
    isPlain: false,
  };
  if (load.endedAt === undefined) return [began];
  return [
    began,
    {
      ...line(
        load.endedAt,
        load.process,
        `load ends${load.version === undefined ? ", failed" : `, the source said ${load.version}`}`,
      ),
      ids: [load.id],
      isPlain: false,
    },
  ];
}

/** Changes of state alone. */
function statesOf(history: History): readonly Line[] {
  const last = new Map<string, string>();
  return history.sightings.flatMap(({ process, at, state, pending }) => {
    const text = `is ${state}${pending === 0 ? "" : `, ${pending} pending`}`;
    if (last.get(process) === text) return [];
    last.set(process, text);
    return [line(at, process, text)];
  });
}

/** The last ones, and those that show the violation; failures and answers give way to what changed something. */
function withinLimit(lines: readonly Line[], violation: Violation): readonly Line[] {
  const shows = (each: Line): boolean => each.isFault === true || each.ids.some((id) => violation.ids.includes(id));
  const kept = new Set(lines.filter(shows));
  for (const isPlain of [false, true])
    for (const each of lines.filter((line) => line.isPlain === isPlain).reverse())
      if (kept.size < (isPlain ? MOST_LINES : MOST_LINES / 2)) kept.add(each);
  return lines.filter((each) => kept.has(each));
}

const line = (at: Instant, who: string, text: string): Line => ({
  at,
  text: `${who.padEnd(8)} ${text}`,
  ids: [],
  isPlain: false,
});
const seconds = (at: Instant): string => `${(at / 1_000).toFixed(4).padStart(9)} s`;
const took = (from: Instant, to: Instant): string => `${(to - from).toFixed(1)} ms`;
