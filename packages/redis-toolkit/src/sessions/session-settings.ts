import { InvalidArgumentError } from "@hotset/core";
import { anything, flag, kindOf, option, readOption, readOptions, wholeMs, type Option } from "@hotset/core/internal";
import type { SessionOptions } from "./session-options.ts";
import { Places } from "./session-places.ts";
import type { RecordSettings } from "./session-records.ts";

const MIN_MS = 1_000;
const DAY_MS = 86_400_000;
const MIN_SECRET = 16;
const IDLE = wholeMs(DAY_MS, MIN_MS);

// The error must not show the secret.
const SECRET = option(
  `text or a Buffer of at least ${MIN_SECRET} characters or bytes`,
  (given: string | Buffer) => (typeof given === "string" || Buffer.isBuffer(given)) && given.length >= MIN_SECRET,
  undefined as string | Buffer | undefined,
  () => "another value",
);

const TABLE = {
  idle: anything,
  absolute: wholeMs(30 * DAY_MS, MIN_MS, 3_650 * DAY_MS),
  secret: SECRET,
  hashIds: flag(true),
  prefix: option(
    "1 to 128 of letters, digits and _ . : / - (for sessions of one tenant give redis.tenant(id))",
    (given) => typeof given === "string" && /^[A-Za-z0-9_.:/-]{1,128}$/.test(given),
    "session:",
  ),
  requireNoEviction: flag(),
} satisfies Record<keyof SessionOptions, Option>;

export const SESSION_OPTIONS: readonly string[] = Object.keys(TABLE);

/** @param idleOption the name of `idle` in errors. */
export function resolveSessionOptions(options: SessionOptions, idleOption = "idle"): RecordSettings {
  const { absolute: absoluteMs, secret, hashIds, prefix, requireNoEviction } = readOptions(options, TABLE);
  const idleMs = options.idle === undefined ? IDLE.default : readOption(options.idle, idleOption, IDLE);
  if (idleMs > absoluteMs)
    throw new InvalidArgumentError(
      `${idleOption} must not be longer than absolute, got ${idleMs} and ${absoluteMs} ms`,
    );
  if (!hashIds && secret !== undefined)
    throw new InvalidArgumentError("secret has no use with hashIds: false; leave one of them out");
  return { places: new Places({ prefix, hashIds, secret }), idleMs, absoluteMs, requireNoEviction };
}

/** Text of any form: a client may send anything as its id. */
export function checkId(id: string): string {
  if (typeof id === "string") return id;
  throw new InvalidArgumentError(`the id of a session must be text, got ${kindOf(id)}`);
}
