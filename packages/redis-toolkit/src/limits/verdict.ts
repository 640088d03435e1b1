/** The decision about one call, with the state of each rule: by Redis, from memory, or by a policy. */
export interface Verdict {
  readonly isAllowed: boolean;
  /** How long the key is blocked, 0 where it is not. */
  readonly blockedMs: number;
  /** Milliseconds since 1970, by the clock that decided. */
  readonly at: number;
  /** In the order of the rules. */
  readonly states: readonly RuleState[];
}

export interface RuleState {
  /** Units that fit now. Below 0 after penalties. */
  readonly room: number;
  /** Until the cost fits, 0 where it does. */
  readonly waitMs: number;
  /** Until all units are free. */
  readonly resetMs: number;
  /** Of a bucket: how far `resetMs` was rounded up, in parts of 1 / limit ms. Else 0. */
  readonly over: number;
}

/** How long until the same call may be allowed. */
export const waitOf = ({ blockedMs, states }: Verdict): number =>
  states.reduce((longest, { waitMs }) => Math.max(longest, waitMs), blockedMs);

/** The reply of the script. */
export function readVerdict(reply: unknown): Verdict {
  const [allowed, blockedMs, at, ...numbers] = (reply as readonly unknown[]).map(Number) as [number, number, number];
  const states: RuleState[] = [];
  for (let i = 0; i < numbers.length; i += 4)
    states.push({ room: numbers[i]!, waitMs: numbers[i + 1]!, resetMs: numbers[i + 2]!, over: numbers[i + 3]! });
  return { isAllowed: allowed === 1, blockedMs, at, states };
}
