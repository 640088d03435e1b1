import { InvalidArgumentError, type Duration } from "@hotset/core";
import { kindOf } from "@hotset/core/internal";
import type { RedisView } from "../commands/view.ts";
import {
  checkName,
  checkOneOf,
  checkOptions,
  checkView,
  durationMs,
  idText,
  checkWholeNumber,
  type Id,
} from "../module/module.ts";
import { JsonRecords, type JsonSessionOptions } from "./json-records.ts";
import { SessionConflictError } from "./session-conflict-error.ts";
import type { SessionOptions } from "./session-options.ts";
import type { Place } from "./session-places.ts";
import { SessionRecords, type Fields, type Records } from "./session-records.ts";
import { dataOf, fieldText, sessionIn, leadsTo, type Found, type StoredSession } from "./session-replies.ts";
import { checkId, resolveSessionOptions, SESSION_OPTIONS } from "./session-settings.ts";
import { VISITS, type Visit, type Visits } from "./session-visits.ts";

export { SessionConflictError, type JsonSessionOptions, type SessionOptions };

/** A session when it was read or changed. Instants are ISO 8601, by the clock of Redis. */
export interface SessionInfo<Data extends object> {
  /** Names the session for `revoke`. It gives no access: pages may show it, and logs hold it. */
  readonly handle: string;
  /** Whose session it is; `undefined` without a user. */
  readonly userId: string | undefined;
  /** When it was made. */
  readonly createdAt: string;
  /** When it was read or changed last, exact to a minute. */
  readonly lastActivity: string;
  /** When it ends if nothing happens until then. */
  readonly expiresAt: string;
  /** Fields of the session, as JSON carried them, with any name but `__proto__`. */
  readonly data: Partial<Data>;
  /** Grows by one with each change of the data, and with each new id. */
  readonly version: number;
}

/** A session, as it was when it was read. */
export interface Session<Data extends object> extends SessionInfo<Data> {
  /**
   * For the cookie: 26 characters of base64url. Not enumerable, so neither `console.log`, nor JSON, nor a copy shows
   * it.
   */
  readonly id: string;
  /**
   * Whether this call moved the end of the session: send the cookie again. At most once a minute, except for changes.
   * Never by an id that has moved: the browser already has the cookie of the newer one.
   */
  readonly isRenewed: boolean;
}

/** `undefined` removes a field. */
export type SessionChanges<Data extends object> = { readonly [K in keyof Data]?: Data[K] | undefined };

/** Options of {@link Sessions.create}. */
export interface CreateSessionOptions<Data extends object> {
  /** Whose session it is, for `list` and `destroyAll`: 1 to 512 characters, or a whole number. @default none */
  readonly userId?: Id | undefined;
  /** Fields of the session, which must be JSON. One that is `undefined` is left out. @default none */
  readonly data?: SessionChanges<Data> | undefined;
  /** How long it lives without activity. @default that of the sessions */
  readonly idle?: Duration | undefined;
}

/** Options of {@link Sessions.regenerate}. */
export interface RegenerateOptions {
  /** A login: the session belongs to this user from now on, and its times start from zero. */
  readonly userId?: Id | undefined;
  /** For how long requests with the old id still reach the session, up to an hour. @default 0 */
  readonly grace?: Duration | undefined;
}

/**
 * Sessions in Redis. Where Redis is down every call rejects with a `BackendUnavailableError`, and where it is disabled
 * with a `CommandError`: `undefined` always means that the session does not exist. Calls reject with
 * `BackendUnavailableError` where Redis is down, `CommandError` where it refuses, and `InvalidArgumentError` for ids
 * and options that can never work.
 */
export interface Sessions<Data extends object> {
  /** A new session with a new id. @throws {EncodeError} for a field that is not JSON: it is named. */
  create(options?: CreateSessionOptions<Data>): Promise<Session<Data>>;
  /**
   * The session of an id, whose end stays as it is; `undefined` if there is none.
   *
   * @throws {CommandError} `CORRUPT_VALUE` for a session with a field that is not JSON.
   */
  read(id: string): Promise<Session<Data> | undefined>;
  /**
   * Reads a session and moves its end: once a minute, or after a tenth of `idle` where that is less. For the begin of a
   * request.
   *
   * @throws {CommandError} `CORRUPT_VALUE` for a session with a field that is not JSON.
   */
  touch(id: string): Promise<Session<Data> | undefined>;
  /**
   * Sets the fields that are named, removes those that are `undefined`, leaves all others, and moves the end. A session
   * that has ended stays so: the answer is `undefined`.
   *
   * @throws {SessionConflictError} where the version is not `ifVersion`; then nothing was written.
   * @throws {EncodeError} for a field that is not JSON: it is named, and nothing was written.
   */
  update(
    id: string,
    changes: SessionChanges<Data>,
    options?: { readonly ifVersion?: number | undefined },
  ): Promise<Session<Data> | undefined>;
  /**
   * The same session under a new id; the old one ends now, or after its grace. `undefined` also for an id that has
   * moved already.
   */
  regenerate(id: string, options?: RegenerateOptions): Promise<Session<Data> | undefined>;
  /**
   * Ends a session, also one that has moved from this id, until a minute after its grace.
   *
   * @returns whether there was one
   */
  destroy(id: string): Promise<boolean>;
  /** Ends a session by its handle, as `list` gives it. @returns whether there was one */
  revoke(handle: string): Promise<boolean>;
  /** Ends all sessions of a user, also those that the user's index does not name. @returns how many it knew */
  destroyAll(userId: Id): Promise<number>;
  /**
   * The sessions of a user, at most 1,000, those that end soonest first. Removes those that have ended from the index
   * of the user.
   *
   * @throws {CommandError} `CORRUPT_VALUE` where one of them has a field that is not JSON.
   */
  list(userId: Id): Promise<readonly SessionInfo<Data>[]>;
}

/**
 * Sessions below one prefix of a view.
 *
 * @throws {InvalidArgumentError} for options that can never work.
 */
export function sessions<Data extends object = Record<string, unknown>>(
  redis: RedisView,
  options: SessionOptions | JsonSessionOptions<Data> = {},
): Sessions<Data> {
  checkView("sessions(redis, options)", redis);
  if ("store" in (options ?? {})) {
    checkOneOf("sessions: store", (options as { readonly store: unknown }).store, ["json"]);
    return new RedisSessions<Data>(new JsonRecords(redis, options as JsonSessionOptions<never>));
  }
  checkOptions("sessions(redis, options)", options, SESSION_OPTIONS);
  const records = new SessionRecords(redis, resolveSessionOptions(options));
  return new RedisSessions<Data>(records);
}

class RedisSessions<Data extends object> implements Sessions<Data> {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  /** For sessions of requests. */
  get [VISITS](): Visits<Session<Data>, RegenerateOptions> {
    const { places } = this.#records;
    return {
      touch: (id) => this.#visit(id, (place) => this.#records.touch(place)),
      read: (id) => this.#visit(id, (place) => this.#records.read(place)),
      update: (id, changes) =>
        this.#visit(id, (place) => this.#records.update(place, { ...encode(changes), ifVersion: undefined })),
      leadsTo: async (id, session) => {
        const place = this.#placeOf(id);
        return place !== undefined && leadsTo(await this.#records.look(place), session.handle);
      },
      userIn: (data) => this.#records.userIn?.(data),
      login: (id, options) => this.#move(id, options, { follows: true }),
      begin: async (instead, { userId, data }, how) => {
        const session = await this.create({ userId: userId as Id | undefined, data: data });
        const [former, own] = [places.ofId(instead), this.#placeOf(session.id)!];
        const isBegun = former === undefined || (await this.#records.claim(former, own, how));
        if (isBegun) return session;
        await this.#records.remove(own);
        return undefined;
      },
    };
  }

  async create(options: CreateSessionOptions<Data> = {}): Promise<Session<Data>> {
    checkOptions("create(options)", options, ["userId", "data", "idle"]);
    const { userId, data, idle } = options;
    const user = userId === undefined ? undefined : idText("userId", userId);
    const { set } = encode(data === undefined ? {} : data);
    const id = this.#records.places.newId();
    const life = idle === undefined ? undefined : { idleMs: durationMs("idle", idle, { min: 1_000 }) };
    const created = await this.#records.create(this.#placeOf(id)!, set, { userId: user, ...life });
    return decode(id, created);
  }

  async read(id: string): Promise<Session<Data> | undefined> {
    return this.#at(id, (place) => this.#records.read(place));
  }

  async touch(id: string): Promise<Session<Data> | undefined> {
    return this.#at(id, (place) => this.#records.touch(place));
  }

  async update(
    id: string,
    changes: SessionChanges<Data>,
    options: { readonly ifVersion?: number | undefined } = {},
  ): Promise<Session<Data> | undefined> {
    checkOptions("update(id, changes, options)", options, ["ifVersion"]);
    const encoded = encode(changes);
    const { ifVersion } = options;
    if (ifVersion !== undefined)
      checkWholeNumber("update(id, changes, options): ifVersion", ifVersion, { min: 0, max: Number.MAX_SAFE_INTEGER });
    return this.#at(id, (place) => this.#records.update(place, { ...encoded, ifVersion }));
  }

  async regenerate(id: string, options: RegenerateOptions = {}): Promise<Session<Data> | undefined> {
    return this.#move(id, options, { follows: false });
  }

  async #move(
    id: string,
    options: RegenerateOptions,
    { follows }: { readonly follows: boolean },
  ): Promise<Session<Data> | undefined> {
    checkOptions("regenerate(id, options)", options, ["userId", "grace"]);
    const { userId, grace = 0 } = options;
    const user = userId === undefined ? undefined : idText("userId", userId);
    const graceMs = durationMs("grace", grace, { min: 0, max: MAX_GRACE_MS });
    const from = this.#placeOf(id);
    if (from === undefined) return undefined;
    const newId = this.#records.places.newId(id);
    const moved = await this.#records.regenerate(from, this.#placeOf(newId)!, { graceMs, userId: user, follows });
    return moved && decode(newId, moved);
  }

  async destroy(id: string): Promise<boolean> {
    return this.#records.remove(this.#placeOf(id));
  }

  async revoke(handle: string): Promise<boolean> {
    return this.#records.remove(this.#records.places.ofHandle(checkName("handle", handle)));
  }

  async destroyAll(userId: Id): Promise<number> {
    return this.#records.removeAll(idText("userId", userId));
  }

  async list(userId: Id): Promise<readonly SessionInfo<Data>[]> {
    return (await this.#records.list(idText("userId", userId))).map((stored) => infoOf(stored));
  }

  async #at(id: string, step: (place: Place | undefined) => Promise<Found>): Promise<Session<Data> | undefined> {
    return (await this.#visit(id, step)).session;
  }

  async #visit(id: string, step: (place: Place | undefined) => Promise<Found>): Promise<Visit<Session<Data>>> {
    const found = await step(this.#placeOf(id));
    const stored = sessionIn(found);
    if (stored === undefined) return { state: found.state === "late" ? "late" : "none" };
    return found.state === "moved"
      ? { state: "moved", session: decode(id, { ...stored, isRenewed: false }) }
      : { state: "live", session: decode(id, stored) };
  }

  #placeOf(id: string): Place | undefined {
    return this.#records.places.ofId(checkId(id));
  }
}

const MAX_GRACE_MS = 3_600_000;

function encode(changes: object): { readonly set: Fields; readonly removed: readonly string[] } {
  if (typeof changes !== "object" || changes === null || Array.isArray(changes))
    throw new InvalidArgumentError(`the data of a session must be an object, got ${kindOf(changes)}`);
  const set = new Map<string, string>();
  const removed: string[] = [];
  for (const [name, value] of Object.entries(changes)) {
    const text = fieldText(name, value);
    if (text === undefined) removed.push(name);
    else set.set(name, text);
  }
  return { set, removed };
}

function decode<Data extends object>(id: string, stored: StoredSession): Session<Data> {
  const session = { ...infoOf<Data>(stored), isRenewed: stored.isRenewed };
  return Object.defineProperty(session, "id", { value: id, enumerable: false }) as Session<Data>;
}

function infoOf<Data extends object>(stored: StoredSession): SessionInfo<Data> {
  const { place, userId, createdAt, lastActivity, endsAt, version } = stored;
  return {
    handle: place.handle,
    userId,
    createdAt: iso(createdAt),
    lastActivity: iso(lastActivity),
    expiresAt: iso(endsAt),
    data: dataOf<Data>(stored),
    version,
  };
}

const iso = (ms: number): string => new Date(ms).toISOString();
