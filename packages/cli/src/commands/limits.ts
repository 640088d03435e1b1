import { limitKey, usedUnits } from "@hotset/redis-toolkit/inspect";
import { moduleOf } from "@hotset/redis-toolkit/module";
import type { Command, Session } from "../command.ts";
import { EXIT } from "../io.ts";
import { NOT_READABLE, readable } from "../keys/readable.ts";
import { sampleOf, type SampledKey } from "../keys/sample.ts";
import { table } from "../output/table.ts";
import { cut, durationText, sampleNote } from "../output/text.ts";
import { checkWords, TENANT_OPTION, viewOf } from "../places.ts";

const SAMPLED = { fallback: 1_000, max: 100_000 };
/** Rows of the table. */
const LISTED = 50;

export const limits: Command = {
  name: "limits",
  summary: "lists rate limits that are in use: who has used how much, and who is blocked",
  words: "[name]",
  about: [
    "In a sample of keys of rateLimit(), with the default prefix; the most used first, those that are blocked before them.",
    "Buckets (token-bucket, gcra) have no units: their life says when they are full again.",
  ],
  options: {
    ...TENANT_OPTION,
    sample: { value: "<n>", text: `look at so many keys at most; default: ${SAMPLED.fallback}` },
  },
  check(given) {
    checkWords(given, ["the name of the limit"], { least: 0 });
    given.count("sample", SAMPLED);
  },
  async run(session) {
    const { arguments: given } = session;
    const [name = "*"] = given.words;
    const isTenant = given.text("tenant") !== undefined;
    const ours = `rate_limit:${name === "*" ? name : glob(name)}:*`;
    const match = isTenant ? moduleOf(viewOf(session)).space.pattern(ours) : `*${ours}`;
    const { keys, isComplete } = await sampleOf(session, { keys: given.count("sample", SAMPLED), match });
    const known = keys.filter((one) => one.known?.module === "rate-limit");
    const found = (await Promise.all(known.map((one) => usedAt(session, one)))).flat();
    const inOrder = found.toSorted((one, other) => rankOf(other) - rankOf(one));
    return {
      exitCode: found.length === 0 && given.words.length > 0 ? EXIT.findings : EXIT.fine,
      json: {
        version: 1,
        isComplete,
        limits: inOrder.map((one) => ({ ...one, ...(one.lifeMs === Infinity ? { lifeMs: null } : undefined) })),
      },
      text: [
        found.length === 0
          ? "no limit is in use"
          : table(
              ["limit", "key", "rule", "used", "ends in"],
              inOrder
                .slice(0, LISTED)
                .map(({ limit, key, rule, used, lifeMs }) => [
                  limit,
                  cut(key, 60),
                  rule,
                  used === undefined ? "" : String(used),
                  durationText(lifeMs),
                ]),
            ),
        ...(found.length > LISTED ? [`... and ${found.length - LISTED} more; --json has all`] : []),
        sampleNote(isComplete),
      ].join("\n"),
    };
  },
};

/** One rule of a limit, for one key of it. */
interface Used {
  readonly limit: string;
  /** The key given to the limit, such as an address or a user. */
  readonly key: string;
  readonly rule: string;
  /** Units, requests or slots; left out for buckets and blocks, and where it cannot be read. */
  readonly used?: number;
  readonly lifeMs: number | undefined;
}

/** Windows and blocks of a moment ago are gone. */
async function usedAt({ redis }: Session, { key: at, type, lifeMs }: SampledKey): Promise<readonly Used[]> {
  const of = limitKey(at);
  if (of === undefined) return [];
  const { limit, key, rule } = of;
  const used = type === "" ? NOT_READABLE : await readable(() => usedUnits(redis, at));
  const shown = { limit, key, rule, lifeMs };
  return [typeof used === "number" && Number.isFinite(used) ? { ...shown, used } : shown];
}

const rankOf = ({ rule, used = 0 }: Used): number => (rule === "block" ? Infinity : used);
const glob = (text: string): string => text.replace(/[\\*?[\]]/g, String.raw`\$&`);
