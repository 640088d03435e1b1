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
  const numbers = reply as readonly unknown[];
  const number = (i: number): number => Number(numbers[i]);
  const states: RuleState[] = [];
  for (let i = 3; i < numbers.length; i += 4)
    states.push({ room: number(i), waitMs: number(i + 1), resetMs: number(i + 2), over: number(i + 3) });
  return { isAllowed: number(0) === 1, blockedMs: number(1), at: number(2), states };
}
