import { arrow, box, text, type Part, type Picture } from "./draw.ts";

interface Rung {
  readonly question: readonly string[];
  readonly answer: readonly string[];
  readonly isFallback?: true;
}

const RUNGS: readonly Rung[] = [
  { question: ["memory: fresh?"], answer: ["served", "immediately"] },
  { question: ["memory: stale, within", "staleWhileRevalidate?"], answer: ["served; refreshed", "in background"] },
  { question: ["a load of this key", "runs in this process?"], answer: ["its result,", "for all callers"] },
  { question: ["Redis has it?"], answer: ["kept in memory,", "and served"] },
  { question: ["another process", "loads it?"], answer: ["its result, once", "Redis has it"] },
  { question: ["your loader runs:", "does it succeed?"], answer: ["stored in both,", "and served"] },
  { question: ["stale, within", "staleIfError?"], answer: ["served as the", "fallback"], isFallback: true },
];

const STEP = 58;
const RUNG = 42;
const TOP = 42;

export const ladder: Picture = {
  title: "How getOrSet answers: the first yes wins",
  description:
    "A ladder of seven questions, from top to bottom. One: is the value in memory fresh? It is served immediately. " +
    "Two: is it stale, within " +
    "staleWhileRevalidate? It is served immediately and refreshed in the background. Three: does a load of this key " +
    "run in this process? All callers " +
    "share its result. Four: does Redis have it? It is kept in memory and served. Five: does another process " +
    "load it? Its result is read from " +
    "Redis when it is stored. Six: your loader runs; if it succeeds, the value is stored in both tiers and " +
    "served. Seven: if it fails and a stale " +
    "value is within staleIfError, that is served as the fallback. Otherwise the caller gets the error of the loader.",
  height: TOP + RUNGS.length * STEP + 44,
  parts: [
    box([8, 8, 190, 26], "page", ["getOrSet(key, load)"]),
    ...RUNGS.flatMap(rung),
    box([8, TOP + RUNGS.length * STEP + 8, 190, 28], "store", ["the loader's own error"]),
  ],
};

function rung({ question, answer, isFallback }: Rung, index: number): readonly Part[] {
  const y = TOP + index * STEP + 8;
  const middle = y + RUNG / 2;
  return [
    arrow([103, y - 16], [103, y - 1]),
    ...(index === 0 ? [] : [text([111, y - 4], "no")]),
    box([8, y, 190, RUNG], "process", question, "text"),
    arrow([199, middle], [227, middle]),
    text([213, middle - 7], "yes", "middle"),
    box([228, y, 124, RUNG], isFallback === true ? "warn" : "good", answer, "text"),
    ...(index === RUNGS.length - 1
      ? [arrow([103, y + RUNG], [103, y + STEP - 1]), text([111, y + STEP - 4], "no")]
      : []),
  ];
}
