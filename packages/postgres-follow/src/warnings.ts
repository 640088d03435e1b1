import { notify } from "@hotset/core/internal";

/** Where warnings are written. `console`, and the loggers of pino and winston, have this shape. */
export interface FollowLogger {
  /** The message has no value of a row. What it throws, or rejects with, changes nothing. */
  warn(message: string): unknown;
}

/** @param kind ends the code of the warning: `HOTSET_FOLLOW_...`. */
export type Warn = (kind: string, text: string) => void;

const REPEATED_MS = 60_000;

/** A trouble that lasts is one warning a minute, unless a logger takes all. */
export function warnerOf(logger: FollowLogger | undefined): Warn {
  const warned = new Map<string, number>();
  return (kind, text) => {
    if (logger !== undefined) return notify(() => logger.warn(`hotset: follow: ${text}`), undefined);
    const now = performance.now();
    if (now - (warned.get(kind) ?? -Infinity) < REPEATED_MS) return;
    warned.set(kind, now);
    process.emitWarning(`hotset: follow: ${text}`, { type: "HotsetWarning", code: `HOTSET_FOLLOW_${kind}` });
  };
}
