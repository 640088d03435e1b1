import type { Rule } from "./rules.ts";
import { waitOf, type Verdict } from "./verdict.ts";

/** Why a call is refused: by a rule, by `block` or `blockFor`, by the `deny` list, or by `whenAway: "closed"`. */
export type RefusalReason = "limit" | "blocked" | "denied" | "away";

/** With several rules it shows the one that counts: that which refuses longest, else that which leaves least. */
export interface RateLimitResult {
  /** Whether the call may go ahead. */
  readonly allowed: boolean;
  /** Units that can be used at once: `limit`, or `burst` of a bucket. */
  readonly limit: number;
  /** Units that are left, at least 0. */
  readonly remaining: number;
  /**
   * Milliseconds until the same call may be allowed, 0 if it is, `Infinity` for a key of the `deny` list. For
   * `concurrency` at the latest: slots may be released earlier.
   */
  readonly retryAfterMs: number;
  /** Milliseconds since 1970, by Redis' clock: when all units are free again, or a block has ended. */
  readonly resetAt: number;
  /** Whether the call was decided without Redis. */
  readonly degraded: boolean;
  /** `RateLimit`, `RateLimit-Policy` and, for a refused call, `Retry-After`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Why it is refused; `undefined` if it is allowed. */
  readonly reason: RefusalReason | undefined;
  /**
   * Names the slots of a `concurrency` rule: give it to `release`, and to `renew` where the call takes long. An open
   * limit has one without Redis too, since the call may have got its slots.
   */
  readonly lease: string | undefined;
  /** Names the units that the call took: give it to `reward`. `undefined` where it took none. */
  readonly units: string | undefined;
}

/** How the header fields are written. */
export type HeaderStyle = "draft-8" | "draft-6" | "none";

/** Makes results of verdicts about the rules of one limiter. */
export class ResultWriter {
  readonly #rules: readonly Rule[];
  readonly #style: HeaderStyle;
  readonly #names: readonly string[];
  readonly #policy: string;

  constructor(name: string, rules: readonly Rule[], style: HeaderStyle) {
    this.#rules = rules;
    this.#style = style;
    const quoted = name.replace(/[^ -~]/g, "?").replace(/["\\]/g, String.raw`\$&`);
    this.#names = rules.map((_, i) => (rules.length === 1 ? `"${quoted}"` : `"${quoted}-${i + 1}"`));
    this.#policy = rules
      .map(({ capacity, periodMs }, i) => `${this.#names[i]!};q=${capacity};w=${seconds(periodMs)}`)
      .join(", ");
  }

  write(verdict: Verdict, how: Pick<RateLimitResult, "degraded" | "reason" | "lease" | "units">): RateLimitResult {
    const { isAllowed, blockedMs, at, states } = verdict;
    const decisive = decisiveIn(verdict);
    const limit = this.#rules[decisive]!.capacity;
    const remaining = blockedMs > 0 ? 0 : within(limit, states[decisive]!.room);
    const resetMs = Math.max(blockedMs, states[decisive]!.resetMs);
    const retryAfterMs = isAllowed ? 0 : Math.max(1, waitOf(verdict));
    const headers = this.#headers(verdict, { limit, remaining, resetMs, retryAfterMs });
    return { allowed: isAllowed, limit, remaining, retryAfterMs, resetAt: at + resetMs, headers, ...how };
  }

  #headers({ blockedMs, states }: Verdict, shown: Shown): Readonly<Record<string, string>> {
    if (this.#style === "none") return NO_HEADERS;
    const headers: Record<string, string> =
      this.#style === "draft-6"
        ? {
            "RateLimit-Policy": this.#rules.map((rule) => `${rule.capacity};w=${seconds(rule.periodMs)}`).join(", "),
            "RateLimit-Limit": String(shown.limit),
            "RateLimit-Remaining": String(shown.remaining),
            "RateLimit-Reset": String(seconds(shown.resetMs)),
          }
        : {
            "RateLimit-Policy": this.#policy,
            RateLimit: states
              .map(({ room, resetMs }, i) => {
                const left = blockedMs > 0 ? 0 : within(this.#rules[i]!.capacity, room);
                return `${this.#names[i]!};r=${left};t=${seconds(Math.max(blockedMs, resetMs))}`;
              })
              .join(", "),
          };
    const { retryAfterMs } = shown;
    if (retryAfterMs > 0 && retryAfterMs < Infinity) headers["Retry-After"] = String(seconds(retryAfterMs));
    return headers;
  }
}

interface Shown {
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
  readonly retryAfterMs: number;
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

/** Header fields count whole seconds; a client that waits them out must not come too early. */
const seconds = (ms: number): number => Math.ceil(ms / 1_000);

const within = (capacity: number, room: number): number => Math.min(capacity, Math.max(0, room));

/** The index of the rule that a caller has to know about. */
function decisiveIn({ isAllowed, states }: Verdict): number {
  let decisive = 0;
  for (let i = 1; i < states.length; i += 1) {
    const [one, best] = [states[i]!, states[decisive]!];
    if (isAllowed ? one.room < best.room : one.waitMs > best.waitMs) decisive = i;
  }
  return decisive;
}
