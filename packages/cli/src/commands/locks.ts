import { hashTagged, moduleOf } from "@hotset/redis-toolkit/module";
import { defineScript } from "@hotset/redis-toolkit/scripts";
import type { RedisView } from "@hotset/redis-toolkit";
import type { Answer, Command, Session } from "../command.ts";
import { EXIT } from "../io.ts";
import { sampleOf, type SampledKey } from "../keys/sample.ts";
import { table } from "../output/table.ts";
import { durationText } from "../output/text.ts";
import { checkWords, TENANT_OPTION, viewOf, WRITE_OPTION } from "../places.ts";

const LIMIT = { fallback: 100, max: 10_000 };

export const locks: Command = {
  name: "locks",
  summary: "lists locks that are held, with holder, life and fence; releases one",
  words: "[name] [release]",
  about: [
    "release: the lock is free at once, and callers that wait are woken. Its holder learns it at its next extension;",
    "until then both may work: fences keep them apart. Only the beginning of a holder's token is shown.",
  ],
  options: {
    ...TENANT_OPTION,
    limit: { value: "<n>", text: `look at so many keys of locks at most; default: ${LIMIT.fallback}` },
    ...WRITE_OPTION,
  },
  check(given) {
    checkWords(given, ["the name of the lock"], { least: 0, actions: ["release"] });
    given.count("limit", LIMIT);
  },
  async run(session) {
    const [name, action] = session.arguments.words;
    return action === undefined ? held(session, name) : released(session, name!);
  },
};

/** `{name}`, or a name that begins with a hash tag, as it is. docs/reference/toolkit-keys.md */
const tagged = (name: string): string => (/^\{[^}]+\}./s.test(name) ? name : hashTagged(name));

/** One key that is held. */
interface Held {
  readonly kind: "lock" | "permits" | "writer" | "readers";
  readonly name: string;
  readonly key: string;
  readonly lifeMs: number | undefined;
  /** The beginning of the token, or how many hold. */
  readonly holder: string | number | undefined;
  readonly fence: string | undefined;
}

const FENCES = { lock: "fence", permits: "permits-fence", writer: "read-write-fence", readers: "read-write-fence" };
const KEY = /^(?<before>(?:[^:{}]+:)?lock:)(?:(?<kind>permits|writer|readers):)?(?<tag>\{[^}]*\}.*)$/s;

async function held(session: Session, name: string | undefined): Promise<Answer> {
  const isTenant = session.arguments.text("tenant") !== undefined;
  const match = isTenant ? moduleOf(viewOf(session)).space.pattern("lock:*") : "*lock:*";
  const sample = await sampleOf(session, { keys: session.arguments.count("limit", LIMIT), match });
  const wanted = name === undefined ? undefined : tagged(name);
  const all = (await Promise.all(sample.keys.map((key) => heldAt(session, key, wanted)))).flat();
  const found = all.toSorted((one, other) => (one.key < other.key ? -1 : 1));
  return {
    exitCode: found.length === 0 ? EXIT.findings : EXIT.fine,
    json: {
      version: 1,
      isComplete: sample.isComplete,
      locks: found.map(({ lifeMs, ...one }) => ({ ...one, lifeMs: lifeMs === Infinity ? null : lifeMs })),
    },
    text:
      found.length === 0
        ? "no lock is held"
        : table(
            ["kind", "lock", "holder", "ends in", "fence", "key"],
            found.map(({ kind, name: own, holder, lifeMs, fence, key }) => [
              kind,
              own,
              typeof holder === "number" ? `${holder} holders` : holder,
              durationText(lifeMs),
              fence,
              key,
            ]),
          ),
  };
}

/** Nothing for a fence, for a key of another module, and for another lock than is wanted. */
async function heldAt(
  { redis }: Session,
  { key, known, lifeMs }: SampledKey,
  wanted: string | undefined,
): Promise<readonly Held[]> {
  const parts = KEY.exec(key)?.groups;
  if (known?.module !== "lock" || parts === undefined) return [];
  const { before = "", kind: part = "lock", tag = "" } = parts;
  if (wanted !== undefined && tag !== wanted) return [];
  const kind = part as Held["kind"];
  const isOne = kind === "lock" || kind === "writer";
  const [holder, fence] = await Promise.all([
    isOne ? redis.commands.get(key) : redis.commands.zCard(key),
    redis.commands.get(`${before}${FENCES[kind]}:${tag}`),
  ]);
  // It has ended meanwhile.
  if (holder === undefined) return [];
  const name = /^\{[^}]*\}$/.test(tag) ? decodeURIComponent(tag.slice(1, -1)) : tag;
  return [
    { kind, name, key, lifeMs, holder: typeof holder === "string" ? `${holder.slice(0, 6)}…` : Number(holder), fence },
  ];
}

/** As the release of its holder: the channel has the name of the key. */
const RELEASE = defineScript({
  lua: `
local gone = redis.call('DEL', KEYS[1])
if gone == 1 then redis.pcall('PUBLISH', KEYS[1], '') end
return gone`,
  keys: 1,
  reply: "integer",
});

async function released(session: Session, name: string): Promise<Answer> {
  const view: RedisView = viewOf(session);
  const wasHeld = (await RELEASE(view, [`lock:${tagged(name)}`], [])) === 1;
  return {
    exitCode: wasHeld ? EXIT.fine : EXIT.findings,
    json: { version: 1, done: "release", wasHeld },
    text: wasHeld ? "release: done" : "release: the lock was not held",
  };
}
