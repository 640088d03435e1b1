import type { RedisView } from "../commands/view.ts";
import { NOW, LUA_OF_KIND } from "../limits/rule-scripts.ts";
import type { RuleKind } from "../limits/rules.ts";
import { moduleOf } from "../module/module.ts";
import { keyInView } from "./key-in-view.ts";
import { TENANT } from "./known-keys.ts";
import { nameInTag } from "./name-in-tag.ts";

/** What is counted for one key of a limit, by one of its rules. */
export interface LimitKey {
  /** The name of the limit. */
  readonly limit: string;
  /** The key given to the limit, such as an address or a user. */
  readonly key: string;
  /** The kind of the rule; `window` for `expressRateLimitStore`, `block` for a caller that `blockFor` refuses. */
  readonly rule: RuleKind | "window" | "block";
  /** Milliseconds: the window of the rule, and the slice of a `sliding-counter`. */
  readonly times: readonly number[];
}

const KEY = new RegExp(
  `${TENANT}rate_limit:(?<limit>[^{}]+):\\{\\k<tenant>(?<key>[^}]*)\\}` +
    `(?::(?<rule>block|${Object.keys(LUA_OF_KIND).join("|")})(?<times>(?::\\d+){0,2}))?$`,
  "s",
);

/** The rule that a key belongs to. @returns `undefined` for a key of anything else. */
export function limitKey(key: string): LimitKey | undefined {
  const parts = KEY.exec(key)?.groups;
  if (parts === undefined) return undefined;
  const { limit = "", key: caller = "", rule = "window", times = "" } = parts;
  return {
    limit,
    key: nameInTag(caller),
    rule: rule as LimitKey["rule"],
    times: times.split(":").slice(1).map(Number),
  };
}

/** Kinds that count units. A bucket has an instant at which it is full again, whose units depend on its limit. */
const COUNTING: readonly string[] = ["fixed-window", "sliding-log", "sliding-counter", "concurrency"];

/**
 * Units, requests or slots that are in use now, as the rule itself counts them: none that has left the window, and no
 * slot whose time has ended.
 *
 * @param redis a view that has the key.
 * @param key as Redis has it.
 * @returns `undefined` for a bucket, for a block and for a key of anything else.
 * @throws {InvalidArgumentError} for a key outside of the view.
 * @throws {CommandError} for a key of another type, and where its user may not run scripts over it.
 * @throws {BackendUnavailableError} where Redis is not reached.
 */
export async function usedUnits(redis: RedisView, key: string): Promise<number | undefined> {
  const { rule, times } = limitKey(key) ?? { rule: "block", times: [] };
  const own = keyInView(redis, key, "usedUnits");
  if (rule === "window") return Number((await redis.commands.get(own)) ?? 0);
  if (!COUNTING.includes(rule)) return undefined;
  const draft = { isReadOnly: true, operation: "usedUnits", decode: Number };
  return moduleOf(redis).runScript(lookOf(rule as RuleKind), [own], times.map(String), draft);
}

/** The rule looks at its key: with a limit of 0, the room that it finds is what is used. */
function lookOf(kind: RuleKind): string {
  const { numbers, helper = "", look } = LUA_OF_KIND[kind];
  const times = numbers.slice(1).map((_, i) => `tonumber(ARGV[${i + 1}])`);
  return [
    NOW,
    helper,
    "local strings = redis.call('MGET', KEYS[1], KEYS[1])",
    `local key1, room1, reset1, ${numbers.map((name) => `${name}1`).join(", ")} = ${["KEYS[1]", 0, 0, 0, ...times].join(", ")}`,
    look.replaceAll("@", "1"),
    "return -room1",
  ].join("\n");
}
