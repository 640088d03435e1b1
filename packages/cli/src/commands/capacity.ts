import { parseDuration } from "@hotset/core";
import { shown, type Arguments } from "../arguments.ts";
import {
  capacity as capacityOf,
  FULL_CORE,
  MAX_CLIENTS,
  type Capacity,
  type Limit,
  type Service,
  type Work,
} from "../capacity/capacity.ts";
import { COSTS } from "../capacity/costs.ts";
import type { Answer, Command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { EXIT } from "../io.ts";
import { fields, table } from "../output/table.ts";
import { bytesText, numberText } from "../output/text.ts";

/** The option for each figure of a service. */
const OPTIONS = {
  processes: { value: "<n>", text: "processes of the service; needed" },
  keys: { value: "<n>", text: "entries in Redis; needed" },
  reads: { value: "<n>", text: "reads a second, of all processes; needed" },
  writes: { value: "<n>", text: "set and delete a second; default: 0" },
  holders: { value: "<n>", text: "processes that read a written key again before its next write; default: all" },
  "tag-calls": { value: "<n>", text: "invalidateTags a second; default: 0" },
  "tag-users": {
    value: "<n>",
    text: "processes that use an entry under such a tag before its next call; default: all",
  },
  primaries: { value: "<n>", text: "primaries of the cluster; default: 1" },
  "value-bytes": { value: "<n>", text: "encoded size of a value; default: 200" },
  copies: { value: "<n>", text: "keys that each process has read and that have not changed since; default: 10000" },
  "in-memory": { value: "<percent>", text: "of the reads: memory would answer if nothing changed; default: 95" },
  loads: { value: "<percent>", text: "of the reads: neither memory nor Redis has it; default: 1" },
  "max-staleness": { value: "<duration>", text: "that of redis(); default: 2s" },
} as const;

export const capacity: Command = {
  name: "capacity",
  summary: "predicts the cores, memory and connections of Redis that a service needs",
  words: "",
  about: ["Needs no Redis. Numbers may end in k or M.", "The costs of each step were measured; --json prints them."],
  options: OPTIONS,
  check(given) {
    serviceOf(given);
  },
  elsewhere: (given) => Promise.resolve(answered(given)),
  run: ({ arguments: given }) => Promise.resolve(answered(given)),
};

/** @throws {UsageError} */
function serviceOf(given: Arguments): Service {
  if (given.words.length > 0) throw new UsageError(`capacity takes options alone, got ${shown(given.words[0]!)}`);
  const processes = amount(given, "processes", { min: 1, max: 1e6, isWhole: true });
  const all = { min: 0, max: processes, isWhole: true, fallback: processes, maxIs: " (--processes)" };
  const memoryPercent = amount(given, "in-memory", { min: 0, max: 100, fallback: 95 });
  // 100 - 99.9 is a little more than 0.1.
  const max = Number((100 - memoryPercent).toFixed(6));
  return {
    processes,
    keys: amount(given, "keys", { min: 1, max: 1e12, isWhole: true }),
    readsPerSecond: amount(given, "reads", { min: 1, max: 1e9 }),
    writesPerSecond: amount(given, "writes", { min: 0, max: 1e9, fallback: 0 }),
    holders: amount(given, "holders", all),
    tagCallsPerSecond: amount(given, "tag-calls", { min: 0, max: 1e9, fallback: 0 }),
    tagUsers: amount(given, "tag-users", all),
    primaries: amount(given, "primaries", { min: 1, max: 1_000, isWhole: true, fallback: 1 }),
    valueBytes: amount(given, "value-bytes", { min: 0, max: 512e6, isWhole: true, fallback: 200 }),
    copies: amount(given, "copies", { min: 0, max: 1e9, isWhole: true, fallback: 10_000 }),
    memoryShare: memoryPercent / 100,
    loadShare: amount(given, "loads", { min: 0, max, fallback: Math.min(1, max), maxIs: " (100 - --in-memory)" }) / 100,
    maxStalenessMs: maxStalenessMsOf(given),
  };
}

interface Bounds {
  readonly min: number;
  readonly max: number;
  /** The source of `max`, behind it in the error. */
  readonly maxIs?: string;
  readonly isWhole?: boolean;
  /** Without it the option is needed. */
  readonly fallback?: number;
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1_000, M: 1_000_000 };

/** @throws {UsageError} */
function amount(given: Arguments, name: keyof typeof OPTIONS, bounds: Bounds): number {
  const { min, max, maxIs = "", isWhole = false, fallback } = bounds;
  const text = given.text(name);
  if (text === undefined && fallback !== undefined) return fallback;
  const [, digits, unit = ""] = /^(\d{1,15}(?:\.\d{1,6})?)([kM]?)$/.exec(text ?? "") ?? [];
  const number = Number(digits) * UNITS[unit]!;
  if (number >= min && number <= max && (!isWhole || Number.isInteger(number))) return number;
  const kind = isWhole ? "a whole number" : "a number";
  throw new UsageError(
    `--${name} must be ${kind} from ${numberText(min)} to ${numberText(max)}${maxIs}, such as ` +
      `${OPTIONS[name].value === "<percent>" ? "2.5" : "500 or 20k"}, ${text === undefined ? "and is missing" : `got ${shown(text)}`}`,
  );
}

/** @throws {UsageError} */
function maxStalenessMsOf(given: Arguments): number {
  const text = given.text("max-staleness");
  if (text === undefined) return 2_000;
  try {
    const ms = parseDuration(text);
    if (ms >= 1 && ms <= 3_600_000) return ms;
  } catch {
    // The sentence below says what is accepted.
  }
  throw new UsageError(`--max-staleness must be from 1 ms to 1 h, such as 2s, got ${shown(text)}`);
}

function answered(given: Arguments): Answer {
  const service = serviceOf(given);
  const found = capacityOf(service);
  const { primariesNeeded = null } = found;
  return {
    exitCode: EXIT.fine,
    json: { version: 1, given: service, ...found, primariesNeeded, costs: COSTS },
    text: textOf(service, found),
  };
}

const NAMES: Readonly<Record<Work, string>> = {
  tagVersions: "tags: versions",
  tagEntries: "tags: entries",
  holders: "holders of written keys",
  writes: "writes",
  hits: "hits in Redis",
  misses: "misses",
  heartbeats: "heartbeats",
};

const LIMITS: Readonly<Record<Limit, string>> = {
  core: "core",
  connections: "connections",
  memoryTier: "memory tier",
};

function textOf({ primaries }: Service, found: Capacity): string {
  const { used, cores, coresOf, memoryShare, node, primariesNeeded } = found;
  const works = (Object.keys(NAMES) as Work[]).toSorted((one, other) => coresOf[other] - coresOf[one]);
  const usedText = (Object.keys(LIMITS) as Limit[]).map((limit) => `${LIMITS[limit]} ${percentText(used[limit])}`);
  return [
    fields([
      ["first limit", limitText(found.firstLimit, works[0]!)],
      ["used", usedText.join(", ")],
      [
        "busiest node",
        `${coresText(cores).trim()} cores, of ${primaries === 1 ? "one primary" : `${primaries} primaries`}`,
      ],
      ["primaries", primariesNeeded === undefined ? NOT_ENOUGH : `${primariesNeeded} needed`],
      ["memory tier", `answers ${percentText(memoryShare)} of the reads`],
    ]),
    "",
    table(
      ["busiest node", "cores"],
      works.map((work) => [NAMES[work], coresText(coresOf[work])]),
    ),
    "",
    table(
      ["memory of each node", ""],
      [
        ["entries", bytesText(node.entriesBytes)],
        ["tracking table", `${bytesText(node.trackingBytes)}, of ${numberText(node.trackedKeys)} keys at most`],
        ["connections", `${bytesText(node.connectionsBytes)}, of ${numberText(node.connections)}`],
      ],
    ),
  ].join("\n");
}

const NOT_ENOUGH = "no number is enough: heartbeats and versions of tags don't divide";

function limitText(limit: Limit, most: Work): string {
  switch (limit) {
    case "core":
      return `${FULL_CORE} of the busiest node's core, by ${NAMES[most]}`;
    case "connections":
      return `${numberText(MAX_CLIENTS)} connections, the default of maxclients`;
    case "memoryTier":
      return "the memory tier: changes end the copies that would be read";
  }
}

/** With the points of several below one another. */
const coresText = (cores: number): string => cores.toFixed(2).padStart(6);
/** Three digits. */
const percentText = (share: number): string => `${numberText(Number((share * 100).toPrecision(3)))} %`;
