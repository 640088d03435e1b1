import { CACHE_OPTIONS } from "../caches.ts";
import type { Command } from "../command.ts";
import { EXIT } from "../io.ts";
import { entriesOf, type PlacedEntry } from "../keys/entries.ts";
import { table } from "../output/table.ts";
import { bytesText, sampleNote } from "../output/text.ts";
import { checkWords } from "../places.ts";

const SAMPLED = { fallback: 10_000, max: 1_000_000 };

export const namespaces: Command = {
  name: "namespaces",
  summary: "lists the namespaces of a cache, with the entries of each",
  words: "<cache>",
  about: ["Namespaces that have entries, in a sample of its keys. The largest first."],
  options: {
    sample: { value: "<n>", text: `look at so many keys at most; default: ${SAMPLED.fallback}` },
    prefix: CACHE_OPTIONS["prefix"]!,
    "cache-version": CACHE_OPTIONS["cache-version"]!,
  },
  check(given) {
    checkWords(given, ["the name of the cache"], { least: 1 });
    given.count("sample", SAMPLED);
  },
  async run(session) {
    const [name] = session.arguments.words as readonly [string];
    const { entries, isComplete } = await entriesOf(session, name, session.arguments.count("sample", SAMPLED));
    const found = grouped(entries);
    return {
      exitCode: found.length === 0 ? EXIT.findings : EXIT.fine,
      json: { version: 1, isComplete, namespaces: found },
      text: [
        found.length === 0
          ? `no entry of ${name}`
          : table(
              ["namespace", "entries", "without end", "size"],
              found.map(({ path, entries: count, withoutEnd, bytes }) => [
                path.length === 0 ? "(the cache itself)" : path.join(" > "),
                count,
                withoutEnd,
                bytesText(bytes),
              ]),
            ),
        sampleNote(isComplete),
      ].join("\n"),
    };
  },
};

interface Row {
  /** From the outside in; empty for the cache itself. */
  readonly path: readonly string[];
  readonly entries: number;
  readonly withoutEnd: number;
  /** Left out where Redis did not say. */
  readonly bytes: number | undefined;
}

function grouped(entries: readonly PlacedEntry[]): readonly Row[] {
  const rows = new Map<string, Row>();
  for (const { path, lifeMs, bytes } of entries) {
    const id = JSON.stringify(path);
    const before = rows.get(id) ?? { path, entries: 0, withoutEnd: 0, bytes: 0 };
    rows.set(id, {
      path,
      entries: before.entries + 1,
      withoutEnd: before.withoutEnd + (lifeMs === Infinity ? 1 : 0),
      bytes: before.bytes === undefined || bytes === undefined ? undefined : before.bytes + bytes,
    });
  }
  return [...rows.values()].toSorted((one, other) => other.entries - one.entries);
}
