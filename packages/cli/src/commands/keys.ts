import { shown, type Arguments } from "../arguments.ts";
import type { Answer, Command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { EXIT } from "../io.ts";
import { sampleOf, type Sample, type SampledKey } from "../keys/sample.ts";
import { table } from "../output/table.ts";
import { bytesText, cut, durationText } from "../output/text.ts";
import { checkWords } from "../places.ts";
import { keysOfFile } from "./keys-of-file.ts";

const LIMIT = { fallback: 100, max: 100_000 };
/** So many keys are looked at for a list of fewer: some are not listed, and an order by size is of all of them. */
const LOOKED = { key: 1_000, size: 10_000, life: 10_000 };

const ORDERS = {
  key: (one: SampledKey, other: SampledKey) => (one.key < other.key ? -1 : 1),
  size: (one: SampledKey, other: SampledKey) => (other.bytes ?? -1) - (one.bytes ?? -1),
  life: (one: SampledKey, other: SampledKey) => (one.lifeMs ?? -1) - (other.lifeMs ?? -1),
} as const;

export const keys: Command = {
  name: "keys",
  summary: "lists keys with their type, life, size and module",
  words: "[pattern]",
  about: [
    "The pattern is a glob of Redis, such as 'hotset:shop:*'. Every primary gives its share.",
    "Keys that caches keep next to their entries (versions of tags, leases) are counted; --all lists them too.",
  ],
  options: {
    limit: { value: "<n>", text: `list so many keys at most; default: ${LIMIT.fallback}` },
    sort: {
      value: "<by>",
      text: `key, size (the largest first) or life (the shortest first), of ${LOOKED.size} keys that are looked at; default: key`,
    },
    sqlite: { value: "<file>", text: "entries of this file of sqlite(), and not of Redis; sizes are of their data" },
    all: { text: "list versions, leases and the like as well" },
  },
  check(given) {
    checkWords(given, ["the pattern"], { least: 0 });
    lookedAt(given);
  },
  elsewhere(given, io) {
    if (given.text("sqlite") === undefined) return undefined;
    return keysOfFile(given, io, lookedAt(given)).then((found) => listed(given, found));
  },
  async run(session) {
    const { arguments: given } = session;
    const [match] = given.words;
    const sample = await sampleOf(session, { keys: lookedAt(given), ...(match === undefined ? undefined : { match }) });
    return listed(given, sample);
  },
};

function listed(given: Arguments, sample: Pick<Sample, "keys" | "isComplete">): Answer {
  const entries = sample.keys.filter(({ known }) => given.flag("all") || (known?.part ?? "entry") === "entry");
  const found = entries.toSorted(ORDERS[orderOf(given)]).slice(0, given.count("limit", LIMIT));
  if (sample.keys.length === 0) return noKey(sample, ofCache(given));
  const hidden = sample.keys.length - entries.length;
  const isComplete = sample.isComplete && found.length === entries.length;
  const rows = found.map(({ key, type, lifeMs, bytes, known }) => [
    cut(key, 120),
    type === "" ? "hidden" : type,
    durationText(lifeMs),
    bytesText(bytes),
    known?.module ?? "other",
  ]);
  return {
    exitCode: EXIT.fine,
    json: {
      version: 1,
      isComplete,
      looked: sample.keys.length,
      hidden,
      keys: found.map(({ key, type, lifeMs, bytes, known }) => ({
        key,
        type,
        // JSON has no infinity: `null` stands for no end, and an absent one is not known.
        lifeMs: lifeMs === Infinity ? null : lifeMs,
        bytes,
        module: known?.module ?? "other",
      })),
    },
    text: [
      ...(found.length === 0 ? [] : [table(["key", "type", "ends in", "size", "module"], rows)]),
      ...(hidden === 0 ? [] : [`${hidden} more beside entries: versions, leases; --all lists them`]),
      ...(isComplete
        ? []
        : [
            `${found.length} of ${entries.length} that were looked at${sample.isComplete ? "" : ", and there are more"}`,
          ]),
    ].join("\n"),
  };
}

/** @throws {UsageError} for an order that there is not. */
function orderOf(given: Arguments): keyof typeof ORDERS {
  const by = given.text("sort") ?? "key";
  if (by === "key" || by === "size" || by === "life") return by;
  throw new UsageError(`--sort must be key, size or life, got ${shown(by)}`);
}

/** How many keys are looked at. @throws {UsageError} for a limit or an order that is not accepted */
const lookedAt = (given: Arguments): number => Math.max(LOOKED[orderOf(given)], given.count("limit", LIMIT));

/** Without a key no limit was met: a sample that is not complete had too little time, and the key may be there. */
const noKey = ({ isComplete }: Pick<Sample, "isComplete">, hint: string): Answer => ({
  exitCode: isComplete ? EXIT.findings : EXIT.unreachable,
  json: { version: 1, isComplete, keys: [] },
  text: isComplete ? `no such key${hint}` : "no such key among those that there was time for; --timeout gives more",
});

/** All other commands take the name of a cache. */
function ofCache(given: Arguments): string {
  const [pattern = ""] = given.words;
  const isName = given.text("sqlite") === undefined && /^[\w-]+$/.test(pattern);
  return isName ? `; those of a cache of this name: 'hotset:${pattern}:*'` : "";
}
