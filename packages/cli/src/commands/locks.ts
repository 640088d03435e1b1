import type { RedisView } from "@hotset/redis-toolkit";
import { moduleOf } from "@hotset/redis-toolkit/module";
import { defineScript } from "@hotset/redis-toolkit/scripts";
import type { Answer, Command, Session } from "../command.ts";
import { EXIT } from "../io.ts";
import { decoded, exitCodeOf, NOT_READABLE, readable } from "../keys/readable.ts";
import { sampleOf } from "../keys/sample.ts";
import { table } from "../output/table.ts";
import { durationText, sampleNote } from "../output/text.ts";
import { checkWords, TENANT_OPTION, viewOf, WRITE_OPTION } from "../places.ts";
import { serverNow } from "../server-clock.ts";

const LIMIT = { fallback: 100, max: 10_000 };

export const locks: Command = {
  name: "locks",
  summary: "lists locks that are held, with holder, life and fence; releases one",
  words: "[name] [release]",
  about: [
    "release: frees the lock immediately and wakes the callers that wait. The holder notices at its next extension;",
    "until then both may work: fences keep them apart. Only the beginning of a holder's token is shown.",
  ],
  options: {
    ...TENANT_OPTION,
    limit: { value: "<n>", text: `without a name: look at so many keys at most; default: ${LIMIT.fallback}` },
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

/** `{name}`, below the tenant, or a name that begins with a hash tag, as it is. docs/reference/toolkit-keys.md */
const keyOf = (view: RedisView, form: string, name: string): string =>
  `lock:${form}${moduleOf(view).space.tagged(name)}`;

/** Forms of a lock, with what stands before its name in a key, and in that of its fence. */
const FORMS = {
  lock: ["", "fence:"],
  permits: ["permits:", "permits-fence:"],
  writer: ["writer:", "read-write-fence:"],
  readers: ["readers:", "read-write-fence:"],
} as const;
type Kind = keyof typeof FORMS;

/** The key of a holder. */
interface Place {
  readonly kind: Kind;
  /** The whole key in Redis, with the tenant if there is one. */
  readonly key: string;
  readonly name: string;
  readonly fenceKey: string;
}

/** One key that is held. */
interface Held extends Omit<Place, "fenceKey"> {
  /** Without the rest where it is another type, or the user may not read it. */
  readonly isReadable: boolean;
  readonly lifeMs?: number;
  /** The beginning of the token, or how many hold. */
  readonly holder?: string | number;
  readonly fence?: string | undefined;
}

const KEY = /^(?<tenant>(?:[^:{}]+:)?)lock:(?:(?<kind>permits|writer|readers):)?(?<tag>\{[^}]*\}.*)$/s;

/** Nothing for a fence. */
function placeOf(key: string): readonly Place[] {
  const parts = KEY.exec(key)?.groups;
  if (parts === undefined) return [];
  const { tenant = "", kind: form = "lock", tag = "" } = parts;
  const kind = form as Kind;
  const whole = tag.startsWith(`{${tenant}`) ? tag.slice(1 + tenant.length, -1) : tag.slice(1, -1);
  const name = /^\{[^}]*\}$/.test(tag) ? decoded(whole) : tag;
  return [{ kind, name, key, fenceKey: `${tenant}lock:${FORMS[kind][1]}${tag}` }];
}

async function held(session: Session, name: string | undefined): Promise<Answer> {
  const { places, isComplete } = name === undefined ? await sampled(session) : named(session, name);
  const all = (await Promise.all(places.map((place) => heldAt(session, place)))).flat();
  const found = all.toSorted((one, other) => (one.key < other.key ? -1 : 1));
  return {
    exitCode: exitCodeOf(found, name !== undefined),
    json: {
      version: 1,
      isComplete,
      locks: found.map((one) => ({ ...one, ...(one.lifeMs === Infinity ? { lifeMs: null } : undefined) })),
    },
    text: [
      found.length === 0 ? "no lock is held" : tableOf(found),
      ...(name === undefined ? [sampleNote(isComplete)] : []),
    ].join("\n"),
  };
}

const tableOf = (found: readonly Held[]): string =>
  table(
    ["kind", "lock", "holder", "ends in", "fence", "key"],
    found.map(({ kind, name, holder, lifeMs, fence, key, isReadable }) => [
      kind,
      name,
      !isReadable ? NOT_READABLE : typeof holder === "number" ? `${holder} holders` : holder,
      durationText(lifeMs),
      fence,
      key,
    ]),
  );

interface Places {
  readonly places: readonly Place[];
  /** Whether no other lock can be held. */
  readonly isComplete: boolean;
}

/** The keys of one lock in each form: it is found among any number of others. */
function named(session: Session, name: string): Places {
  const view = viewOf(session);
  const { space } = moduleOf(view);
  const places = Object.values(FORMS).flatMap(([form]) => placeOf(space.inside(keyOf(view, form, name))));
  return { places, isComplete: true };
}

async function sampled(session: Session): Promise<Places> {
  const isTenant = session.arguments.text("tenant") !== undefined;
  const match = isTenant ? moduleOf(viewOf(session)).space.pattern("lock:*") : "*lock:*";
  const { keys, isComplete } = await sampleOf(session, { keys: session.arguments.count("limit", LIMIT), match });
  return { places: keys.flatMap(({ key, known }) => (known?.module === "lock" ? placeOf(key) : [])), isComplete };
}

async function heldAt(session: Session, { fenceKey, ...place }: Place): Promise<readonly Held[]> {
  const { commands } = session.redis;
  const isOne = place.kind === "lock" || place.kind === "writer";
  const found = await readable(() =>
    Promise.all([
      isOne ? commands.get(place.key) : holdersAt(session, place.key),
      commands.ttlMs(place.key),
      commands.get(fenceKey),
    ]),
  );
  if (found === NOT_READABLE) return [{ ...place, isReadable: false }];
  const [holder, life, fence] = found;
  // Nobody holds it, or it has ended meanwhile.
  if (holder === undefined || holder === 0 || life === "missing") return [];
  return [
    {
      ...place,
      isReadable: true,
      lifeMs: life === "none" ? Infinity : life,
      holder: typeof holder === "string" ? `${holder.slice(0, 6)}…` : Number(holder),
      fence,
    },
  ];
}

/** A member whose time has ended holds no more; the next acquisition removes it. */
async function holdersAt(session: Session, key: string): Promise<number> {
  return Number(await session.redis.commands.zCount(key, `(${await serverNow(session)}`, "+inf"));
}

/** Releases a lock as its holder would: the channel has the name of the key. */
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
  const wasHeld = (await RELEASE(view, [keyOf(view, "", name)], [])) === 1;
  return {
    exitCode: wasHeld ? EXIT.fine : EXIT.findings,
    json: { version: 1, done: "release", wasHeld },
    text: wasHeld ? "release: done" : "release: the lock was not held",
  };
}
