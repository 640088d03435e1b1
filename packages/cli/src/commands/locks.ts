import {
  heldLock,
  lockPlace,
  lockPlaces,
  releaseLock,
  type HeldLock,
  type LockPlace,
} from "@hotset/redis-toolkit/inspect";
import { moduleOf } from "@hotset/redis-toolkit/module";
import type { Answer, Command, Session } from "../command.ts";
import { EXIT } from "../io.ts";
import { exitCodeOf, NOT_READABLE, readable } from "../keys/readable.ts";
import { sampleOf } from "../keys/sample.ts";
import { table } from "../output/table.ts";
import { durationText, sampleNote } from "../output/text.ts";
import { checkWords, TENANT_OPTION, viewOf, WRITE_OPTION } from "../places.ts";

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

/** The key of a lock that is held, or that cannot be read. */
type Found =
  | (HeldLock & { readonly isReadable: true })
  | (Omit<LockPlace, "fenceKey"> & { readonly isReadable: false });

async function held(session: Session, name: string | undefined): Promise<Answer> {
  const { places, isComplete } =
    name === undefined ? await sampled(session) : { places: lockPlaces(viewOf(session), name), isComplete: true };
  const all = (await Promise.all(places.map((place) => foundAt(session, place)))).flat();
  const found = all.toSorted((one, other) => (one.key < other.key ? -1 : 1));
  return {
    exitCode: exitCodeOf(found, name !== undefined),
    json: {
      version: 1,
      isComplete,
      locks: found.map((one) => ({
        ...one,
        ...(one.isReadable && one.lifeMs === Infinity ? { lifeMs: null } : undefined),
      })),
    },
    text: [
      found.length === 0 ? "no lock is held" : tableOf(found),
      ...(name === undefined ? [sampleNote(isComplete)] : []),
    ].join("\n"),
  };
}

const tableOf = (found: readonly Found[]): string =>
  table(
    ["kind", "lock", "holder", "ends in", "fence", "key"],
    found.map((one) => {
      const { kind, name, key } = one;
      if (!one.isReadable) return [kind, name, NOT_READABLE, durationText(undefined), undefined, key];
      const { holder, lifeMs, fence } = one;
      return [
        ...[kind, name, typeof holder === "number" ? `${holder} holders` : holder],
        ...[durationText(lifeMs), fence, key],
      ];
    }),
  );

interface Places {
  readonly places: readonly LockPlace[];
  /** Whether no other lock can be held. */
  readonly isComplete: boolean;
}

async function sampled(session: Session): Promise<Places> {
  const isTenant = session.arguments.text("tenant") !== undefined;
  const match = isTenant ? moduleOf(viewOf(session)).space.pattern("lock:*") : "*lock:*";
  const { keys, isComplete } = await sampleOf(session, { keys: session.arguments.count("limit", LIMIT), match });
  return {
    places: keys.flatMap(({ key, known }) => (known?.module === "lock" ? (lockPlace(key) ?? []) : [])),
    isComplete,
  };
}

/** Nothing for one that is free. */
async function foundAt(session: Session, place: LockPlace): Promise<readonly Found[]> {
  const found = await readable(() => heldLock(session.redis, place));
  if (found === undefined) return [];
  if (found !== NOT_READABLE) return [{ ...found, isReadable: true }];
  const { kind, name, key } = place;
  return [{ kind, name, key, isReadable: false }];
}

async function released(session: Session, name: string): Promise<Answer> {
  const wasHeld = await releaseLock(viewOf(session), name);
  return {
    exitCode: wasHeld ? EXIT.fine : EXIT.findings,
    json: { version: 1, done: "release", wasHeld },
    text: wasHeld ? "release: done" : "release: the lock was not held",
  };
}
