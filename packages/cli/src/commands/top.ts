import { parseDuration } from "@hotset/core";
import type { Finding } from "@hotset/inspector/internal";
import { knownKey } from "@hotset/redis-toolkit/inspect";
import { shown, type Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { processFindings } from "../doctor/processes.ts";
import { UsageError } from "../errors.ts";
import { monitored } from "../keys/monitored.ts";
import { sampleOf } from "../keys/sample.ts";
import { table } from "../output/table.ts";
import { cut, durationText, jsonText, numberText, safe } from "../output/text.ts";
import { checkWords } from "../places.ts";

const ROWS = { fallback: 20, max: 1_000 };
const FOR_MS = { fallback: 10_000, max: 600_000 };
/** Keys that are counted; those that came once go when there are more. */
const MOST_KEYS = 100_000;
const DRAWN_EACH_MS = 1_000;
/** Keys that name the caches whose records are read. */
const SAMPLED = 1_000;

export const top: Command = {
  name: "top",
  summary: "shows the keys that are used most now, by all clients",
  words: "[pattern] --monitor",
  about: [
    "Redis counts no uses of keys, so this watches every command by MONITOR, which halves the throughput of the server " +
      "while it runs: for --monitor, and for a short time.",
    "What stands out by the records of processes comes first, as in doctor.",
    "In a terminal the list is drawn each second. Ctrl-C ends it, with the last list.",
  ],
  options: {
    monitor: { text: "do it; without it nothing is sent" },
    for: { value: "<duration>", text: `end after this time, at most 10 min; default: 10s` },
    limit: { value: "<n>", text: `so many keys; default: ${ROWS.fallback}` },
  },
  check(given) {
    checkWords(given, ["the pattern"], { least: 0 });
    given.count("limit", ROWS);
    forMsOf(given);
    if (!given.flag("monitor"))
      throw new UsageError("top watches by MONITOR, which halves the throughput of the server; add --monitor");
  },
  async run(session) {
    const { arguments: given, io } = session;
    const { keys } = await sampleOf(session, { keys: SAMPLED });
    const found = await processFindings(session, keys);
    const uses = new Uses();
    const startedAt = performance.now();
    const listed = (): readonly Row[] => uses.most(given.count("limit", ROWS), performance.now() - startedAt);
    const draw = (): void =>
      io.print(`\u001B[H\u001B[2J${textOf(listed(), uses, performance.now() - startedAt, found)}\n`);
    const isText = !given.flag("json");
    const drawing = io.isTerminal && isText ? setInterval(draw, DRAWN_EACH_MS) : undefined;
    if (drawing === undefined && isText) io.complain(`hotset: watching for ${durationText(forMsOf(given))}\n`);
    try {
      const asked = { pattern: given.words[0], signal: io.signal, duration: forMsOf(given) };
      // For a script, its keys are counted, and its commands are not.
      await monitored(session, asked, ({ keys, isInScript }) => {
        if (!isInScript) for (const key of keys) uses.add(key);
      });
    } catch (error) {
      if (!io.signal.aborted) throw error;
    } finally {
      clearInterval(drawing);
    }
    const forMs = Math.round(performance.now() - startedAt);
    const json = { version: 1, forMs, uses: uses.count, keys: listed(), findings: found };
    if (drawing !== undefined) draw();
    else io.print(isText ? `${textOf(listed(), uses, forMs, found)}\n` : `${jsonText(json, 2)}\n`);
    return undefined;
  },
};

function forMsOf(given: Arguments): number {
  const text = given.text("for");
  if (text === undefined) return FOR_MS.fallback;
  try {
    const ms = parseDuration(text);
    if (ms >= 1 && ms <= FOR_MS.max) return Math.ceil(ms);
  } catch {
    // The sentence below says what is accepted.
  }
  throw new UsageError(`--for must be from 1 ms to 10 min, such as 30s, got ${shown(text)}`);
}

interface Row {
  readonly key: string;
  readonly uses: number;
  readonly perSecond: number;
  readonly module: string;
}

/** How often each key was used. */
class Uses {
  readonly #keys = new Map<string, number>();
  count = 0;

  add(key: string): void {
    this.count += 1;
    this.#keys.set(key, (this.#keys.get(key) ?? 0) + 1);
    if (this.#keys.size > MOST_KEYS) for (const [each, uses] of this.#keys) if (uses === 1) this.#keys.delete(each);
  }

  most(limit: number, forMs: number): readonly Row[] {
    return [...this.#keys]
      .toSorted(([one, uses], [other, others]) => others - uses || (one < other ? -1 : 1))
      .slice(0, limit)
      .map(([key, uses]) => ({
        key,
        uses,
        perSecond: Number((uses / Math.max(0.001, forMs / 1_000)).toPrecision(3)),
        module: knownKey(key, "hash")?.module ?? knownKey(key, "string")?.module ?? "other",
      }));
  }
}

const textOf = (rows: readonly Row[], { count }: Uses, forMs: number, found: readonly Finding[]): string =>
  [
    ...found.map(({ level, text }) => `${level}: ${safe(text)}`),
    rows.length === 0
      ? "no key was used"
      : table(
          ["key", "uses", "a second", "module"],
          rows.map(({ key, uses, perSecond, module }) => [cut(key, 100), uses, perSecond, module]),
        ),
    `(${numberText(count)} uses in ${durationText(forMs)})`,
  ].join("\n");
