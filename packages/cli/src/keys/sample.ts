import type { PrimaryConnection } from "@hotset/redis-toolkit/connection";
import { knownKey, type KnownKey, type ModuleName } from "@hotset/redis-toolkit/inspect";
import type { Session } from "../command.ts";
import { Progress } from "../output/progress.ts";

/** One key that was looked at. */
export interface SampledKey {
  readonly key: string;
  /** `""` for a key that this user may not look at: `SCAN` names keys of all users. */
  readonly type: string;
  /** Milliseconds to its end, `Infinity` without one; `undefined` where Redis did not say. */
  readonly lifeMs: number | undefined;
  /** `undefined` where Redis did not say. */
  readonly bytes: number | undefined;
  readonly known: KnownKey | undefined;
}

export interface SampleBounds {
  /** At most so many keys, over all primaries. */
  readonly keys: number;
  /** At most so long, in milliseconds. */
  readonly forMs: number;
  /** Bound on each question. */
  readonly timeoutMs: number;
  /** A glob. @default every key */
  readonly match?: string;
  /** Called with about how many keys were looked at since it was called last, those that do not match included. */
  readonly onPage?: (keys: number) => void;
}

export interface Sample {
  readonly keys: readonly SampledKey[];
  /** Whether these are all keys there are, but for those that came or went meanwhile. */
  readonly isComplete: boolean;
  /** Whether `MEMORY USAGE` was answered. */
  readonly hasSizes: boolean;
}

/** An entry that never ends, and has a stale window, is stored with an end in a hundred years. */
const ENDLESS_MS = 10 * 365 * 86_400_000;

/** Keys that Redis is asked about in one go. */
const PAGE = 250;

/** A sample of one primary: `SCAN`, then `TYPE`, `PTTL` and `MEMORY USAGE` of each. @throws the error of `SCAN` */
async function sampleKeys(primary: PrimaryConnection, bounds: SampleBounds): Promise<Sample> {
  const until = Date.now() + bounds.forMs;
  /** By their bytes, as `SCAN` may give one twice: keys whose bytes are no text may have the same name. */
  const found = new Map<string, SampledKey>();
  const { timeoutMs: deadlineMs } = bounds;
  const match = bounds.match === undefined ? [] : ["MATCH", bounds.match];
  let cursor = "0";
  let hasSizes = true;
  do {
    const reply = await primary.call(["SCAN", cursor, ...match, "COUNT", String(PAGE)], {
      isReadOnly: true,
      deadlineMs,
    });
    const [next, names] = reply as readonly [Buffer, readonly Buffer[]];
    cursor = String(next);
    bounds.onPage?.(PAGE);
    const page = names.slice(0, Math.max(0, bounds.keys - found.size));
    for (const [i, one] of (await described(primary, page, deadlineMs)).entries()) {
      if (one === undefined) continue;
      hasSizes &&= one.bytes !== undefined || one.type === "";
      found.set(page[i]!.toString("latin1"), one);
    }
  } while (cursor !== "0" && found.size < bounds.keys && Date.now() < until);
  return { keys: [...found.values()], isComplete: cursor === "0" && found.size < bounds.keys, hasSizes };
}

/** In the order of `names`; `undefined` for a key that has ended meanwhile. */
async function described(
  primary: PrimaryConnection,
  names: readonly Buffer[],
  deadlineMs: number,
): Promise<readonly (SampledKey | undefined)[]> {
  if (names.length === 0) return [];
  const questions = names.flatMap((name) => [
    ["TYPE", name],
    ["PTTL", name],
    ["MEMORY", "USAGE", name],
  ]);
  const replies = await primary.burst(questions, { deadlineMs });
  return names.map((name, i): SampledKey | undefined => {
    const [type, life, bytes] = replies.slice(3 * i, 3 * i + 3);
    const key = name.toString();
    if (type instanceof Error || life instanceof Error)
      return { key, type: "", lifeMs: undefined, bytes: undefined, known: knownKey(key, "") };
    if (String(type) === "none" || life === -2) return undefined;
    return {
      key,
      type: String(type),
      lifeMs: life === -1 || Number(life) > ENDLESS_MS ? Infinity : Number(life),
      bytes: bytes instanceof Error ? undefined : Number(bytes),
      known: knownKey(key, String(type)),
    };
  });
}

/** Samples of several primaries as one. */
const together = (samples: readonly Sample[]): Sample => ({
  keys: samples.flatMap(({ keys }) => keys),
  isComplete: samples.every(({ isComplete }) => isComplete),
  hasSizes: samples.every(({ hasSizes }) => hasSizes),
});

/** A sample of all primaries, bounded as the session is. @throws the error of `SCAN` */
export async function sampleOf(
  { connection, timeoutMs, io }: Session,
  asked: { readonly keys: number; readonly match?: string; readonly forMs?: number },
): Promise<Sample> {
  const primaries = await connection.each((primary) => Promise.resolve(primary));
  const keys = Math.ceil(asked.keys / Math.max(1, primaries.length));
  const progress = new Progress(io, io.isErrorTerminal === true ? await sizeOf(primaries, timeoutMs) : undefined);
  const bounds = { forMs: 3 * timeoutMs, ...asked, keys, timeoutMs, onPage: (count: number) => progress.add(count) };
  try {
    return together(await Promise.all(primaries.map((primary) => sampleKeys(primary, bounds))));
  } finally {
    progress.end();
  }
}

/** `undefined` where this user may not ask. */
async function sizeOf(primaries: readonly PrimaryConnection[], deadlineMs: number): Promise<number | undefined> {
  const ask = (primary: PrimaryConnection): Promise<unknown> =>
    primary.call(["DBSIZE"], { isReadOnly: true, deadlineMs });
  const sizes = await Promise.all(primaries.map((primary) => ask(primary).catch(() => NaN)));
  const sum = sizes.reduce((total: number, size) => total + Number(size), 0);
  return Number.isNaN(sum) ? undefined : sum;
}

/** Keys by what they belong to. */
export interface Group {
  readonly module: ModuleName | undefined;
  readonly owner: string;
  /** For a cache: its entries, or what stands beside them. */
  readonly part: KnownKey["part"];
  readonly keys: number;
  readonly withoutEnd: number;
  /** `undefined` where Redis did not say. */
  readonly bytes: number | undefined;
}

/** The largest groups first. Keys of other programs are one group for each word before their first colon. */
export function groupsOf({ keys, hasSizes }: Sample): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const { key, known, lifeMs, bytes = 0 } of keys) {
    const owner = known?.owner ?? (key.includes(":") ? key.slice(0, key.indexOf(":")) : "");
    const id = `${known?.module ?? ""} ${known?.part ?? ""} ${owner}`;
    const before = groups.get(id) ?? {
      module: known?.module,
      owner,
      part: known?.part,
      keys: 0,
      withoutEnd: 0,
      bytes: 0,
    };
    groups.set(id, {
      ...before,
      keys: before.keys + 1,
      withoutEnd: before.withoutEnd + (lifeMs === Infinity ? 1 : 0),
      bytes: hasSizes ? before.bytes! + bytes : undefined,
    });
  }
  return [...groups.values()].toSorted((one, other) => other.keys - one.keys || (one.owner < other.owner ? -1 : 1));
}
