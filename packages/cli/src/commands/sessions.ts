import { sessionsOfUser, userOfSessions } from "@hotset/redis-toolkit/inspect";
import { moduleOf } from "@hotset/redis-toolkit/module";
import type { Command } from "../command.ts";
import { EXIT } from "../io.ts";
import { sampleOf, type SampledKey } from "../keys/sample.ts";
import { fields, table } from "../output/table.ts";
import { bytesText, durationText, sampleNote } from "../output/text.ts";
import { checkWords, TENANT_OPTION, viewOf } from "../places.ts";

const SAMPLED = { fallback: 10_000, max: 1_000_000 };
/** Users that are listed. */
const LISTED = 20;

export const sessions: Command = {
  name: "sessions",
  summary: "counts sessions, their lives and sizes, and the users that have most",
  words: "",
  about: [
    "In a sample of keys of createSessions(), with the default prefix. Shows no id and no data. A user's sessions are",
    "those of its index, which may hold ended ones for a while.",
  ],
  options: {
    ...TENANT_OPTION,
    sample: { value: "<n>", text: `look at so many keys at most; default: ${SAMPLED.fallback}` },
  },
  check(given) {
    checkWords(given, [], { least: 0 });
    given.count("sample", SAMPLED);
  },
  async run(session) {
    const { arguments: given, redis } = session;
    const isTenant = given.text("tenant") !== undefined;
    const match = isTenant ? moduleOf(viewOf(session)).space.pattern("session:*") : "*session:*";
    const { keys, isComplete } = await sampleOf(session, { keys: given.count("sample", SAMPLED), match });
    const own = keys.filter(({ known }) => known?.module === "sessions");
    const found = own.filter(({ key }) => userOfSessions(key) === undefined);
    const users = await Promise.all(
      own.flatMap(({ key, type }) => {
        const { user, isIndex } = userOfSessions(key) ?? { user: "", isIndex: false };
        if (!isIndex || type !== "zset") return [];
        return [sessionsOfUser(redis, key).then((count) => ({ user, sessions: count }))];
      }),
    );
    const sums = sumsOf(found);
    const most = users.toSorted((one, other) => other.sessions - one.sessions).slice(0, LISTED);
    return {
      exitCode: EXIT.fine,
      json: { version: 1, isComplete, ...sums, users: users.length, most },
      text: [
        fields([
          ["sessions", sums.sessions],
          ["users", users.length],
          ["without end", sums.withoutEnd],
          ["next ends in", durationText(sums.nextEndMs)],
          ["size", bytesText(sums.bytes)],
        ]),
        ...(most.length === 0
          ? []
          : [
              "",
              table(
                ["user", "sessions"],
                most.map(({ user, sessions: count }) => [user, count]),
              ),
            ]),
        sampleNote(isComplete),
      ].join("\n"),
    };
  },
};

interface Sums {
  readonly sessions: number;
  readonly withoutEnd: number;
  /** Left out where there is none. */
  readonly nextEndMs: number | undefined;
  /** Left out where Redis did not say. */
  readonly bytes: number | undefined;
}

function sumsOf(found: readonly SampledKey[]): Sums {
  const ends = found.flatMap(({ lifeMs }) => (lifeMs === undefined || lifeMs === Infinity ? [] : [lifeMs]));
  const hasSizes = found.every(({ bytes }) => bytes !== undefined);
  return {
    sessions: found.length,
    withoutEnd: found.filter(({ lifeMs }) => lifeMs === Infinity).length,
    nextEndMs: ends.length === 0 ? undefined : Math.min(...ends.slice(0, 10_000)),
    bytes: hasSizes ? found.reduce((sum, { bytes = 0 }) => sum + bytes, 0) : undefined,
  };
}
