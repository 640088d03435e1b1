import { arrow, box, text, type Part, type Picture } from "./draw.ts";

const A = 52;
const REDIS = 180;
const B = 308;

interface Step {
  readonly from: number;
  readonly to: number;
  readonly lines: readonly [string, string?];
  /** A message that Redis sends by itself. */
  readonly isMessage?: true;
}

const BEFORE: readonly Step[] = [
  { from: B, to: REDIS, lines: ["reads the key"] },
  { from: REDIS, to: B, lines: ["the value, now", "in memory of B"] },
];

const CHANGE: readonly Step[] = [
  { from: A, to: REDIS, lines: ["delete, and no", "load may store"] },
  { from: REDIS, to: B, lines: ["changed:", "B drops its copy"], isMessage: true },
  { from: REDIS, to: A, lines: ["done:", '"deleted"'] },
];

const HEARTBEAT: readonly Step[] = [
  { from: B, to: REDIS, lines: ["heartbeat,", "each 0.5 s"] },
  { from: REDIS, to: B, lines: ["answer: 2 s of", "trust, as of asked"] },
];

const TOP = 44;
const STEP = 50;

export const protocol: Picture = {
  title: "How a change in process A reaches the copy in process B",
  description:
    "Three lines of time: process A, Redis, process B. First B reads a key; Redis answers with the value and " +
    "remembers that B has read it; B " +
    "keeps a copy in memory. Then A deletes the key: in the same step Redis takes away the permission of any " +
    "load that is running to store its " +
    "result. Redis sends B the message that the key has changed, and B drops its copy; after that A gets its " +
    "acknowledgement. Every half second B " +
    "sends a heartbeat, and an answer lets B trust its copies for two seconds, counted from when it asked. " +
    "Without an answer B serves no copy " +
    "after these two seconds without asking Redis.",
  height: TOP + 7 * STEP + 78,
  parts: [
    ...[A, REDIS, B].map((x) => arrow([x, 34], [x, TOP + 7 * STEP + 18], "time")),
    box([8, 8, 88, 26], "process", ["process A"]),
    box([136, 8, 88, 26], "store", ["Redis"]),
    box([264, 8, 88, 26], "process", ["process B"]),
    ...[...BEFORE, ...CHANGE, ...HEARTBEAT].flatMap(step),
    box([8, TOP + 7 * STEP + 22, 344, 46], "warn", ["no answer for 2 s:", "B serves no copy without asking Redis"]),
  ],
};

function step({ from, to, lines, isMessage }: Step, index: number): readonly Part[] {
  const y = TOP + index * STEP + 38;
  const middle = (from + to) / 2;
  const inset = from < to ? 3 : -3;
  return [
    ...lines
      .filter((line) => line !== undefined)
      .map((line, at, all) => text([middle, y - 5 - (all.length - 1 - at) * 14], line, "middle")),
    arrow([from + inset, y], [to - inset, y], isMessage === true ? "message" : "call"),
  ];
}
