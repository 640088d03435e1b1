import { arrow, box, text, type Fill, type Part, type Picture } from "./draw.ts";

interface State {
  readonly fill: Fill;
  readonly lines: readonly string[];
  /** The event that ends it. */
  readonly end?: string;
}

const STATES: readonly State[] = [
  { fill: "good", lines: ["fresh", "served immediately"], end: "after refreshAhead × ttl" },
  { fill: "good", lines: ["ahead", "served, and refreshed"], end: "ttl ends" },
  {
    fill: "process",
    lines: ["revalidate", "served immediately;", "one load refreshes it"],
    end: "staleWhileRevalidate ends",
  },
  { fill: "warn", lines: ["fallback", "waits for a load; served", "if the load fails"], end: "staleIfError ends" },
  { fill: "store", lines: ["expired", "as if absent"] },
];

const TOP = 24;
const GAP = 26;
const heightOf = ({ lines }: State): number => 16 + lines.length * 16;
/** The top of each state, and the end of the last. */
const tops = STATES.reduce<readonly number[]>((all, state) => [...all, all.at(-1)! + heightOf(state) + GAP], [TOP]);
const bottomOf = (at: number): number => tops[at]! + heightOf(STATES[at]!);

export const life: Picture = {
  title: "The life of an entry",
  description:
    "A column of five states, in the order of time. Fresh: the value is served immediately. Ahead, once refreshAhead " +
    "times ttl has passed: it is served and refreshed. Ttl ends. Revalidate, until staleWhileRevalidate ends: it is " +
    "served immediately while one load refreshes it. Fallback, until staleIfError ends: a call waits for a load, and " +
    "gets the stale value if the load fails. Expired: as if absent. Both windows start when ttl ends.",
  height: bottomOf(STATES.length - 1) + 10,
  parts: [
    text([8, 16], "loaded"),
    ...STATES.flatMap(stateOf),
    ...span(196, 0, 1, ["ttl"]),
    ...span(196, 2, 2, ["staleWhile-", "Revalidate"]),
    ...span(284, 2, 3, ["staleIf-", "Error"]),
  ],
};

function stateOf(state: State, at: number): readonly Part[] {
  const top = tops[at]!;
  return [
    box([8, top, 174, heightOf(state)], state.fill, state.lines),
    ...(state.end === undefined ? [] : [text([8, top + heightOf(state) + 17], state.end)]),
  ];
}

/** A bracket right of the states from one to another, with its name. */
function span(x: number, from: number, to: number, name: readonly string[]): readonly Part[] {
  const [top, bottom] = [tops[from]!, bottomOf(to)];
  return [
    arrow([x, top], [x, bottom], "time"),
    arrow([x - 4, top], [x + 4, top], "time"),
    arrow([x - 4, bottom], [x + 4, bottom], "time"),
    ...name.map((line, at) => text([x + 8, (top + bottom) / 2 + 4 + (at - (name.length - 1) / 2) * 16], line)),
  ];
}
