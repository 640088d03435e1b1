import { DecodeError, EncodeError, json } from "@hotset/core";
import { CommandError } from "../index.ts";
import type { Place } from "./session-places.ts";

/** A session as Redis has it. Instants are milliseconds by the clock of the server. */
export interface StoredSession {
  readonly place: Place;
  readonly userId: string | undefined;
  readonly epoch: string | undefined;
  readonly createdAt: number;
  readonly lastActivity: number;
  readonly endsAt: number;
  readonly idleMs: number;
  readonly version: number;
  /** JSON text of each field of the data. */
  readonly fields: ReadonlyMap<string, string>;
  /** Whether this call moved the end of the session so far that the cookie should be sent again. */
  readonly isRenewed: boolean;
}

/**
 * What an id leads to: its session; one that it has moved from, which it still reaches; a session that it reaches no
 * longer; or none.
 */
export type Found =
  | { readonly state: "live" | "moved" | "late"; readonly session: StoredSession }
  | { readonly state: "none" };

export const NONE: Found = Object.freeze({ state: "none" });

/** `undefined` where the id does not reach one. */
export const sessionIn = (found: Found): StoredSession | undefined =>
  found.state === "live" || found.state === "moved" ? found.session : undefined;

/** Whether an id leads to the session of `handle`, which has not moved any further. */
export const leadsTo = (found: Found, handle: string): boolean =>
  found.state !== "none" && found.session.place.handle === handle;

/** How far the end of a session may lag behind its activity. The scripts decide by the same rule. */
export const slackMs = (idleMs: number): number => Math.min(60_000, idleMs / 10);

export type SessionReply =
  | { readonly kind: "absent" | "conflict" }
  /** `isOver`: its grace has ended, so the id reaches the session no longer. */
  | { readonly kind: "moved"; readonly to: string; readonly isOver: boolean }
  | { readonly kind: "foreign"; readonly text: string; readonly fields: ReadonlyMap<string, string> }
  | { readonly kind: "session"; readonly session: Omit<StoredSession, "place"> };

const DATA = ".";

/** The name in Redis of a field of the data. */
export const fieldName = (name: string): string => DATA + name;

/** @throws {DecodeError} for a hash without the fields of a session, and for text other than a JSON object. */
export function decodeReply(reply: unknown): SessionReply {
  const [kind, ...rest] = reply as readonly [SessionReply["kind"], ...unknown[]];
  switch (kind) {
    case "session":
      return { kind, session: sessionOf(pairsOf(rest[1] as readonly string[]), { isRenewed: rest[0] === 1 }) };
    case "moved":
      return { kind, to: rest[0] as string, isOver: rest[1] === 1 };
    case "foreign":
      return { kind, text: rest[0] as string, fields: fieldsOfText(rest[0] as string) };
    case "absent":
    case "conflict":
      return { kind };
  }
}

/**
 * The reply to `HGETALL`, which does not say whether a grace has ended.
 *
 * @throws {DecodeError} for a hash without the fields of a session.
 */
export function decodeHash(reply: unknown): SessionReply {
  const hash = reply instanceof Map ? (reply as ReadonlyMap<string, string>) : pairsOf(reply as readonly string[]);
  if (hash.size === 0) return { kind: "absent" };
  const to = hash.get("to");
  if (to !== undefined) return { kind: "moved", to, isOver: false };
  return { kind: "session", session: sessionOf(hash, { isRenewed: false }) };
}

const pairsOf = (flat: readonly string[]): ReadonlyMap<string, string> => {
  const pairs = new Map<string, string>();
  for (let i = 0; i < flat.length; i += 2) pairs.set(flat[i]!, flat[i + 1]!);
  return pairs;
};

function sessionOf(
  hash: ReadonlyMap<string, string>,
  { isRenewed }: Pick<StoredSession, "isRenewed">,
): Omit<StoredSession, "place"> {
  const number = (name: string): number => {
    const value = Number(hash.get(name) ?? Number.NaN);
    if (Number.isFinite(value)) return value;
    throw new DecodeError("the key does not hold a session", { operation: "HGETALL" });
  };
  const fields = new Map<string, string>();
  for (const [name, text] of hash) if (name.startsWith(DATA)) fields.set(name.slice(DATA.length), text);
  const [lastActivity, idleMs] = [number("a"), number("i")];
  return {
    userId: hash.get("u"),
    epoch: hash.get("e"),
    createdAt: number("c"),
    lastActivity,
    endsAt: Math.min(lastActivity + idleMs, number("x")),
    idleMs,
    version: number("v"),
    fields,
    isRenewed,
  };
}

const strictly = (value: unknown): string => Buffer.from(json().encode(value)).toString();

/**
 * JSON of a field; `undefined` for one that is left out.
 *
 * @param write refuses what would be read as another value; `JSON.stringify` writes that as best it can.
 * @throws {EncodeError} that names the field.
 */
export function fieldText(
  name: string,
  value: unknown,
  write: (value: unknown) => string | undefined = strictly,
): string | undefined {
  if (value === undefined) return undefined;
  try {
    if (name !== "__proto__") return write(value);
  } catch {
    // Below, without its cause, which may quote the value.
  }
  throw new EncodeError(
    `the field ${JSON.stringify(name)} of the session cannot be written: it must be JSON, so no bigint, function, ` +
      "symbol or cycle, and no name may be __proto__",
    { operation: "encode" },
  );
}

/**
 * The data of a session.
 *
 * @throws {CommandError} `CORRUPT_VALUE` for a field that another program has written, and that is not JSON.
 */
export function dataOf<Data extends object>({ fields }: Pick<StoredSession, "fields">): Partial<Data> {
  try {
    return Object.fromEntries([...fields].map(([name, text]) => [name, JSON.parse(text)])) as Partial<Data>;
  } catch {
    // Without its cause, which quotes the field.
    throw new CommandError("the session has a field that is not JSON", { code: "CORRUPT_VALUE", operation: "HGETALL" });
  }
}

/** The fields of a session that another program has stored as one JSON object. */
export function fieldsOfText(text: string): ReadonlyMap<string, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Below.
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new DecodeError("the key does not hold a session", { operation: "sessions" });
  return new Map(Object.entries(value).map(([name, field]) => [name, JSON.stringify(field)]));
}
