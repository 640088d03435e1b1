import type { Answer, Command } from "../command.ts";
import { EXIT } from "../io.ts";
import { sampleOf, type Sample } from "../keys/sample.ts";
import { table } from "../output/table.ts";
import { bytesText, cut, durationText } from "../output/text.ts";
import { checkWords } from "../places.ts";

const LIMIT = { fallback: 100, max: 100_000 };

export const keys: Command = {
  name: "keys",
  summary: "lists keys with their type, life, size and module",
  words: "[pattern]",
  about: ["The pattern is a glob of Redis, such as 'hotset:shop:*'. In no order; every primary gives its share."],
  options: { limit: { value: "<n>", text: `list so many keys at most; default: ${LIMIT.fallback}` } },
  check(given) {
    checkWords(given, ["the pattern"], { least: 0 });
    given.count("limit", LIMIT);
  },
  async run(session) {
    const limit = session.arguments.count("limit", LIMIT);
    const [match] = session.arguments.words;
    const sample = await sampleOf(session, { keys: limit, ...(match === undefined ? undefined : { match }) });
    const found = sample.keys.toSorted((one, other) => (one.key < other.key ? -1 : 1));
    const rows = found.map(({ key, type, lifeMs, bytes, known }) => [
      cut(key, 120),
      type === "" ? "hidden" : type,
      durationText(lifeMs),
      bytesText(bytes),
      known?.module ?? "other",
    ]);
    if (found.length === 0) return noKey(sample);
    return {
      exitCode: EXIT.fine,
      json: {
        version: 1,
        isComplete: sample.isComplete,
        keys: found.map(({ key, type, lifeMs, bytes, known }) => ({
          key,
          type,
          // JSON has no infinity: `null` stands for no end, and an absent one is not known.
          lifeMs: lifeMs === Infinity ? null : lifeMs,
          bytes,
          module: known?.module ?? "other",
        })),
      },
      text: `${table(["key", "type", "ends in", "size", "module"], rows)}${sample.isComplete ? "" : "\n... and more"}`,
    };
  },
};

/** Without a key no limit was met: a sample that is not complete had too little time, and the key may be there. */
const noKey = ({ isComplete }: Sample): Answer => ({
  exitCode: isComplete ? EXIT.findings : EXIT.unreachable,
  json: { version: 1, isComplete, keys: [] },
  text: isComplete ? "no such key" : "no such key among those that there was time for; --timeout gives more",
});
