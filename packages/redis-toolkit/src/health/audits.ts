import type { RedisView, ScanOptions } from "../index.ts";
import { checkOptions, lifeMs, checkWholeNumber, type DurationText } from "../module/module.ts";

/** Options of {@link Health.bigKeys}. */
export interface BigKeysOptions {
  /** A glob, inside the view. @default every key */
  readonly match?: string | undefined;
  /** How many are returned. @default 10 */
  readonly top?: number | undefined;
  /** At most so many keys are looked at. @default 10_000 */
  readonly sample?: number | undefined;
}

/** A key, and how large it is. */
export interface BigKey {
  /** The key as text. */
  readonly key: string;
  /** The type of the key, as `TYPE` says it. */
  readonly type: string;
  /** By `MEMORY USAGE`, which looks at five elements of a collection. */
  readonly bytes: number;
}

/** Options of {@link Health.ttlAudit}. */
export interface TtlAuditOptions {
  /** A glob, inside the view. @default every key */
  readonly match?: string | undefined;
  /** Looks at keys of this type alone. @default all */
  readonly type?: NonNullable<ScanOptions["type"]> | undefined;
  /** The life that keys without an end get. @default none: they are only counted */
  readonly fix?: DurationText | undefined;
}

/** The result of a look at all keys. */
export interface TtlAudit {
  /** Keys that were looked at. */
  readonly scanned: number;
  /** Keys without an end. */
  readonly immortal: number;
  /** How many of them got one. */
  readonly fixed: number;
  /** The first 100 of them, as text. */
  readonly examples: readonly string[];
}

/** Keys that are asked about in one go. */
const WINDOW = 500;
const MAX_EXAMPLES = 100;

export async function bigKeys(redis: RedisView, options: BigKeysOptions = {}): Promise<readonly BigKey[]> {
  checkOptions("bigKeys(options)", options, ["match", "top", "sample"]);
  const { top = 10, sample = 10_000 } = options;
  const most = Number.MAX_SAFE_INTEGER;
  checkWholeNumber("bigKeys: top", top, { min: 1, max: most });
  checkWholeNumber("bigKeys: sample", sample, { min: 1, max: most });
  const { commands } = redis;
  let largest: { readonly key: Buffer; readonly bytes: number }[] = [];
  let seen = 0;
  for await (const keys of windows(redis.bytes.scan(matching(options.match)), sample)) {
    const sizes = await Promise.all(keys.map((key) => commands.memoryUsage(key)));
    seen += keys.length;
    // A key may have gone meanwhile.
    const found = keys.flatMap((key, i) => ((sizes[i] ?? null) === null ? [] : [{ key, bytes: Number(sizes[i]) }]));
    largest = [...largest, ...found].toSorted((one, other) => other.bytes - one.bytes).slice(0, top);
    if (seen >= sample) break;
  }
  const types = await Promise.all(largest.map(({ key }) => commands.type(key)));
  return largest.map(({ key, bytes }, i) => ({ key: String(key), bytes, type: String(types[i]) }));
}

export async function ttlAudit(redis: RedisView, options: TtlAuditOptions = {}): Promise<TtlAudit> {
  checkOptions("ttlAudit(options)", options, ["match", "type", "fix"]);
  const fixMs = options.fix === undefined ? undefined : lifeMs("ttlAudit: fix", options.fix);
  const { commands } = redis;
  const audit = { scanned: 0, immortal: 0, fixed: 0, examples: [] as string[] };
  const scan = { ...matching(options.match), ...(options.type === undefined ? undefined : { type: options.type }) };
  for await (const keys of windows(redis.bytes.scan(scan), Infinity)) {
    const lives = await Promise.all(keys.map((key) => commands.ttlMs(key)));
    const immortal = keys.filter((_, i) => lives[i] === "none");
    audit.scanned += keys.length;
    audit.immortal += immortal.length;
    audit.examples.push(...immortal.slice(0, MAX_EXAMPLES - audit.examples.length).map(String));
    if (fixMs === undefined) continue;
    // `none`: one that got an end meanwhile keeps it.
    const fixed = await Promise.all(immortal.map((key) => commands.expire(key, `${fixMs}ms`, { if: "none" })));
    audit.fixed += fixed.filter(Boolean).length;
  }
  return audit;
}

const matching = (match: string | undefined): ScanOptions => (match === undefined ? {} : { match });

/** Keys by their bytes: one that is not UTF-8 would be another one as text. */
async function* windows(keys: AsyncIterable<Buffer>, most: number): AsyncGenerator<readonly Buffer[]> {
  let window: Buffer[] = [];
  let taken = 0;
  for await (const key of keys) {
    window.push(key);
    taken += 1;
    if (window.length < WINDOW && taken < most) continue;
    yield window;
    if (taken >= most) return;
    window = [];
  }
  if (window.length > 0) yield window;
}
