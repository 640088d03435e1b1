import { BackendUnavailableError, type Clock, type KeyWalk, type WalkedKey, type WalkedKeys } from "@hotset/core";
import { within } from "@hotset/core/internal";
import { send } from "../connection/link.ts";
import type { Primary, Servers } from "../connection/servers.ts";
import type { Session } from "../connection/session.ts";
import { Buffer } from "../primitives/buffer.ts";
import { fault, type Origin } from "../primitives/faults.ts";
import { ignore } from "../primitives/ignore.ts";
import { decodeEntry } from "./entry-fields.ts";
import { MAGIC, NOTHING } from "./entry-layout.ts";
import type { RedisKeys } from "./redis-keys.ts";

export interface WalkOf {
  readonly servers: Pick<Servers, "primaries" | "openSession">;
  readonly keys: RedisKeys;
  readonly label: string;
  /** Bound on each trip. */
  readonly deadlineMs: number;
  readonly clock: Clock;
}

/** Keys that Redis is asked for, and about, in one go. */
const PAGE = 250;

/**
 * Lists entries by `SCAN`, one primary after another. Their lives are asked for on a connection for the walk alone: on
 * that of the cache, Redis would remember each key as read, and push its next change.
 */
export async function* walkPrimaries(of: WalkOf, walk: KeyWalk): AsyncGenerator<WalkedKeys, void> {
  const origin: Origin = { tier: of.label, operation: "walk" };
  const primaries = await of.servers.primaries();
  const sizes = await Promise.all(primaries.map(({ link }) => send(link, origin, ["DBSIZE"]).catch(() => NaN)));
  const total = sizes.reduce((sum: number, size) => sum + Number(size), 0);
  let looked = 0;
  for (const primary of primaries)
    for await (const { keys, scanned } of walkOne(of, walk, primary, origin)) {
      looked = Math.min(looked + scanned, Number.isNaN(total) ? Infinity : total);
      yield { keys, looked, ...(Number.isNaN(total) ? undefined : { total }) };
    }
}

async function* walkOne(of: WalkOf, { prefix, contains, signal }: KeyWalk, { link }: Primary, origin: Origin) {
  const pattern = of.keys.globOf(prefix, contains);
  const aborted = signal ?? new AbortController().signal;
  let session: Session | undefined;
  let cursor = "0";
  try {
    do {
      const reply = await send(link, origin, ["SCAN", cursor, "MATCH", pattern, "COUNT", String(PAGE)]);
      const [next, names] = reply as readonly [unknown, readonly Buffer[]];
      cursor = String(next);
      // In a cluster the key leads to this primary.
      if (names.length > 0) session ??= await of.servers.openSession({ key: names[0], aborted, prepare: nothing });
      const keys = names.length === 0 ? [] : await described(of, names, session!, origin);
      yield { keys, scanned: PAGE };
    } while (cursor !== "0" && !aborted.aborted);
  } catch (error) {
    throw fault(origin, error);
  } finally {
    session?.destroy();
  }
}

/** Without those that have ended meanwhile, and placeholders of entries that are being loaded. */
async function described(
  { keys, deadlineMs, clock, label }: WalkOf,
  names: readonly Buffer[],
  { client, address }: Session,
  origin: Origin,
): Promise<readonly WalkedKey[]> {
  const asked = names.flatMap((name) => [
    ["PTTL", name],
    ["MEMORY", "USAGE", name],
    // An entry is a string or a hash: one of the two is refused.
    ["GETRANGE", name, "0", String(HEAD_BYTES - 1)],
    ["HGET", name, "s"],
  ]);
  const replies = Promise.all([["TIME"], ...asked].map((args) => client.sendCommand(args).catch(asError)));
  replies.catch(ignore);
  const [time, ...answers] = await within(clock, deadlineMs, replies, () => {
    throw new BackendUnavailableError(`${label}: walk was not answered within ${deadlineMs} ms by ${address}`, origin);
  });
  const serverMs = time instanceof Error ? Date.now() : timeOf(time as readonly Buffer[]);
  return names.flatMap((name, i): readonly WalkedKey[] => {
    const key = keys.keyOf(name.toString());
    const [life, bytes, head, stale] = answers.slice(4 * i, 4 * i + 4);
    const lifeMs = life instanceof Error ? undefined : Number(life);
    if (key === undefined || lifeMs === -2 || isNoEntry(head)) return [];
    const expiresInMs = lifeMs === -1 ? Infinity : lifeMs;
    return [
      {
        key,
        ...(expiresInMs !== undefined && { expiresInMs }),
        ...staleness(head, stale, lifeMs ?? -1, serverMs),
        ...(typeof bytes === "number" && { bytes }),
      },
    ];
  });
}

function staleness(head: unknown, stale: unknown, lifeMs: number, serverMs: number): Pick<WalkedKey, "staleInMs"> {
  if (Buffer.isBuffer(head) && head[0] === MAGIC && head.length >= STALE_AT + head[2]! + 6) {
    const staleAt = head.readUIntBE(STALE_AT + head[2]!, 6);
    return { staleInMs: staleAt === NEVER ? Infinity : staleAt - serverMs };
  }
  if (stale !== null && !Buffer.isBuffer(stale)) return {};
  const entry = decodeEntry([Buffer.from(NOTHING), stale], lifeMs, () => serverMs, "full");
  return entry === undefined ? {} : { staleInMs: entry.staleInMs };
}

/** A placeholder, or nothing any more. */
const isNoEntry = (head: unknown): boolean => Buffer.isBuffer(head) && head[0] === MAGIC && head[1] !== ENTRY;

/** docs/reference/redis-layout.md: mark, kind, length of the version, version, then the instant in six bytes. */
const ENTRY = 1;
const STALE_AT = 3;
const NEVER = 2 ** 48 - 1;
/** The most bytes of a string that come before the end of its instant. */
const HEAD_BYTES = STALE_AT + 32 + 6;

const timeOf = ([seconds, micros]: readonly Buffer[]): number =>
  Number(String(seconds)) * 1_000 + Math.floor(Number(String(micros)) / 1_000);

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
const nothing = async (): Promise<void> => undefined;
