import type { Violation } from "./checker.ts";
import type { Change, Fault, History, Instant, Load, Read } from "./history.ts";

/** The time shown before and after a violation; a violation without a key shows all. */
const BEFORE_MS = 4_000;
const AFTER_MS = 50;
/** Beyond this the oldest are left out, and of those that changed nothing sooner. */
const MOST_LINES = 70;

interface Line {
  readonly at: Instant;
  readonly who: string;
  readonly text: string;
  readonly id?: string;
  /** The step of this line changed nothing. */
  readonly isPlain?: true;
  /** Shown with its begin and end where it overlaps the time that is shown. */
  readonly isFault?: true;
}

/**
 * The events of the key of a violation, in the order of time: one line for each call, load, fault and change of
 * state, and `<<<` at those that show the violation.
 */
export function timeline(history: History, violation: Violation): string {
  const { key, ids } = violation;
  const { changes, reads, loads, faults, failures } = history;
  const concerned = changes.filter(({ id }) => ids.includes(id)).map(({ startedAt }) => startedAt - 100);
  const from = key === undefined ? 0 : Math.min(violation.at - BEFORE_MS, ...concerned);
  const to = violation.at + AFTER_MS;
  const shows = ({ id, isFault }: Line): boolean => isFault === true || (id !== undefined && ids.includes(id));
  const covers = (change: Change): boolean =>
    change.keys.some(([each]) => each === key) || change.touches?.includes(key ?? "") === true;
  const lines = [
    ...changes.filter((each) => covers(each) || ids.includes(each.id)).map((each) => ofChange(each, key)),
    ...reads.filter((each) => each.key === key || ids.includes(each.id)).map(ofRead),
    ...loads.filter((each) => each.key === key).flatMap(ofLoad),
    ...faults.filter((each) => each.from <= to && each.to >= from).flatMap(ofFault),
    ...statesOf(history),
    ...failures.map(({ at, process: who, operation, code }): Line => {
      return { at, who, text: `backend failed: ${operation}: ${code}`, isPlain: true };
    }),
  ]
    .filter((line) => shows(line) || (from <= line.at && line.at <= to))
    .sort((a, b) => a.at - b.at);
  const kept = new Set(lines.filter(shows));
  for (const [isPlain, most] of [
    [undefined, MOST_LINES / 2],
    [true, MOST_LINES],
  ] as const)
    for (const line of lines.filter((each) => each.isPlain === isPlain).reverse()) if (kept.size < most) kept.add(line);
  const texts = lines
    .filter((line) => kept.has(line))
    .map((line) => {
      const mark = line.isFault !== true && shows(line) ? "   <<<" : "";
      return `${seconds(line.at)}  ${line.who.padEnd(8)} ${line.text}${mark}`;
    });
  return [`${violation.rule}: ${violation.text}`, ...texts].join("\n");
}

function ofChange({ process: who, id, kind, keys, mode, startedAt, endedAt, ...end }: Change, key?: string): Line {
  const covered = keys.filter(([each]) => key === undefined || each === key).map((each) => each.join(" → "));
  const how = `${end.status}${end.error === undefined ? "" : ` (${end.error})`}`;
  const ended = endedAt === undefined ? "never settled" : `${how} after ${took(startedAt, endedAt)}`;
  const text = `${kind}${mode === "soft" ? " (soft)" : ""}, source ${covered.join(", ")}: ${ended}`;
  return { at: startedAt, who, id, text };
}

function ofRead({ process: who, id, kind, version, freshness, startedAt, endedAt, ...read }: Read): Line {
  const found = version === undefined ? "nothing" : `${version}${freshness === "stale" ? ", stale" : ""}`;
  const how = [
    read.tier && `from ${read.tier}`,
    read.coalesced === true && "shared",
    read.after && `current, after ${read.after.version}`,
    read.forced === true && "forced",
  ].filter(Boolean);
  const many = read.firstStartedAt === undefined ? "" : ` again and again since ${seconds(read.firstStartedAt)}`;
  const answer = `${read.error ?? found}${how.length === 0 ? "" : ` (${how.join(", ")})`}`;
  return { at: startedAt, who, id, text: `${kind}${many}: ${answer}, ${took(startedAt, endedAt)}`, isPlain: true };
}

function ofLoad({ process: who, id, startedAt, endedAt, version, forced, isAlone }: Load): readonly Line[] {
  const how = `${forced ? ", forced" : ""}${isAlone === true ? ", without a lease" : ""}`;
  const began = { at: startedAt, who, id, text: `load begins${how}` };
  if (endedAt === undefined) return [began];
  const text = `load ends${version === undefined ? ", failed" : `, the source said ${version}`}`;
  return [began, { at: endedAt, who, id, text }];
}

function ofFault({ kind, from, to, processes, jumpMs }: Fault): readonly Line[] {
  const by = jumpMs === undefined ? "" : `, by ${jumpMs} ms`;
  const of = processes === undefined ? "" : ` of ${processes.join(", ")}`;
  return [
    { at: from, who: "nemesis", text: `${kind}${by}${of}`, isFault: true },
    { at: to, who: "nemesis", text: `${kind}: over`, isFault: true },
  ];
}

/** Changes of state alone. */
function statesOf({ sightings }: History): readonly Line[] {
  const last = new Map<string, string>();
  return sightings.flatMap(({ process: who, at, state, pending }) => {
    const text = `is ${state}${pending === 0 ? "" : `, ${pending} pending`}`;
    if (last.get(who) === text) return [];
    last.set(who, text);
    return [{ at, who, text }];
  });
}

const seconds = (at: Instant): string => `${(at / 1_000).toFixed(4).padStart(9)} s`;
const took = (from: Instant, to: Instant): string => `${(to - from).toFixed(1)} ms`;
