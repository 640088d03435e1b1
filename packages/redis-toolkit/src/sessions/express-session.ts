import { InvalidArgumentError, type Duration } from "@hotset/core";
import { kindOf } from "@hotset/core/internal";
import session, { type SessionData } from "express-session";
import type { RedisView } from "../commands/view.ts";
import {
  checkFlag,
  checkFunction,
  checkName,
  checkOptions,
  checkView,
  durationMs,
  type Module,
  moduleOf,
} from "../module/module.ts";
import type { SessionOptions } from "./session-options.ts";
import type { Place } from "./session-places.ts";
import { SessionRecords, type Fields } from "./session-records.ts";
import { dataOf, fieldText, sessionIn, slackMs, type StoredSession } from "./session-replies.ts";
import { checkId, resolveSessionOptions, SESSION_OPTIONS } from "./session-settings.ts";

/** `"24h"`: connect-redis counts seconds where hotset counts milliseconds, so a bare number is refused. */
export type Ttl = Exclude<Duration, number>;

/** Options of {@link SessionStore}. */
export interface SessionStoreOptions extends Omit<SessionOptions, "idle"> {
  /**
   * Life of a session whose cookie has no `expires`: text with a unit. A function decides for every session; a life of
   * zero or less ends it.
   *
   * @default '24h'
   */
  readonly ttl?: Ttl | ((session: SessionData) => Ttl) | undefined;
  /** A request that changes nothing leaves the end of its session as it is. @default false */
  readonly disableTouch?: boolean | undefined;
  /** The user of a session, for `destroyAll`. @default none */
  readonly userOf?: ((session: SessionData) => string | undefined) | undefined;
}

/** The methods of express-session's own store that are kept: the others are declared to return nothing. */
interface KeptMethods extends Pick<session.Store, keyof NodeJS.EventEmitter> {
  regenerate(...given: Parameters<session.Store["regenerate"]>): void;
  load(...given: Parameters<session.Store["load"]>): void;
  createSession(...given: Parameters<session.Store["createSession"]>): ReturnType<session.Store["createSession"]>;
}
const Store: abstract new () => KeptMethods = session.Store;

type Callback<T> = (error: unknown, value?: T) => void;

/** The state of a session object when it was read or stored last. */
interface Known {
  readonly sid: string;
  readonly place: Place;
  fields: Fields;
  userId: string | undefined;
  idleMs: number;
  /** Until then touching it would write nothing, by the clock of this process. */
  quietUntil: number;
}

/**
 * A store for express-session 1.17 and later. With the same options as `sessions` it has the same sessions. A request
 * stores the fields that it has changed, so requests at the same time keep the changes of both; and a session that was
 * destroyed meanwhile stays so. Where Redis is down, each method fails: a request gets an error, and never an empty
 * session.
 *
 * Every method takes a callback; without one it returns a promise.
 * Calls reject, or give their callback, `BackendUnavailableError` where Redis is down, and `CommandError` where it
 * refuses.
 */
export class SessionStore extends Store {
  readonly #records: SessionRecords;
  readonly #module: Module;
  readonly #ttl: Ttl | ((session: SessionData) => Ttl);
  readonly #isTouchDisabled: boolean;
  readonly #userOf: (session: SessionData) => string | undefined;
  /** By session object. That of express-session has the one of what `get` gave. */
  readonly #known = new WeakMap<object, Known>();

  /** @throws {InvalidArgumentError} for options that can never work. */
  constructor(redis: RedisView, options: SessionStoreOptions = {}) {
    super();
    checkOptions("new SessionStore(redis, options)", options, KNOWN_OPTIONS);
    const { ttl = "24h", disableTouch = false, userOf = () => undefined, ...others } = options;
    checkView("new SessionStore(redis, options)", redis);
    checkFlag("disableTouch", disableTouch);
    checkFunction("userOf", userOf);
    if (typeof ttl !== "function") ttlMs(ttl);
    this.#records = new SessionRecords(redis, resolveSessionOptions({ ...others, ...idleOf(ttl) }, "ttl"), "own");
    this.#module = moduleOf(redis);
    this.#ttl = ttl;
    this.#isTouchDisabled = disableTouch;
    this.#userOf = userOf;
  }

  /** The data of a session; `null` for one that is not there. */
  get(sid: string, callback?: Callback<SessionData | null>): Promise<SessionData | null> {
    return answer(this.#get(sid), callback);
  }

  /**
   * Stores the fields that changed since they were read, and restarts its life. A session object that the store does
   * not know is stored whole.
   */
  set(sid: string, data: SessionData, callback?: Callback<void>): Promise<void> {
    return answer(this.#set(sid, data), callback);
  }

  /**
   * Restarts the life of a session, unless `disableTouch` says otherwise: once a minute, or after a tenth of the life
   * where that is less.
   */
  touch(sid: string, data: SessionData, callback?: Callback<void>): Promise<void> {
    return answer(this.#touch(sid, data), callback);
  }

  /** Ends a session. */
  destroy(sid: string, callback?: Callback<void>): Promise<void> {
    return answer(this.#destroy(sid), callback);
  }

  /** Removes all sessions of the prefix. */
  clear(callback?: Callback<void>): Promise<void> {
    return answer(this.#records.clear(), callback);
  }

  /** How many sessions there are. */
  length(callback?: Callback<number>): Promise<number> {
    return answer(
      this.#handles().then(({ length }) => length),
      callback,
    );
  }

  /** Ids of all sessions. With hashed ids these are handles, from which no id can be computed. */
  ids(callback?: Callback<readonly string[]>): Promise<readonly string[]> {
    return answer(this.#handles(), callback);
  }

  /** All sessions, each with its id as `id`; with hashed ids that is its handle. */
  all(callback?: Callback<SessionData[]>): Promise<SessionData[]> {
    const withIds = async (): Promise<SessionData[]> =>
      (await this.#records.all()).map((stored) => ({ ...sessionDataOf(stored), id: stored.place.handle }));
    return answer(withIds(), callback);
  }

  /** Ends all sessions that `userOf` gave to a user. @returns how many the index of the user named: all end */
  destroyAll(userId: string, callback?: Callback<number>): Promise<number> {
    const removed = async (): Promise<number> => this.#records.removeAll(checkName("userId", userId));
    return answer(removed(), callback);
  }

  /** express-session makes its session of what `get` gave: it is remembered, so that `set` sends the difference. */
  override createSession(
    ...[request, data]: Parameters<session.Store["createSession"]>
  ): ReturnType<session.Store["createSession"]> {
    const known = this.#known.get(data);
    const made = super.createSession(request, data);
    // A copy: a store that coalesces reads makes several sessions of the same data, and each has its own changes.
    if (known !== undefined) this.#known.set(made, { ...known });
    return made;
  }

  async #get(sid: string): Promise<SessionData | null> {
    const place = this.#records.places.ofId(checkId(sid));
    const stored = sessionIn(await this.#records.read(place));
    if (place === undefined || stored === undefined) return null;
    const data = sessionDataOf(stored);
    const { fields, userId } = stored;
    this.#known.set(data, { sid, place, fields, userId, ...this.#lifeOf(stored) });
    return data;
  }

  async #set(sid: string, data: SessionData): Promise<void> {
    const idleMs = this.#lifeMs(data);
    if (idleMs <= 0) return this.#destroy(sid);
    const fields = fieldsOf(data);
    const userId = this.#userOf(data);
    if (userId !== undefined) checkName("userOf(session)", userId);
    const known = this.#known.get(data);
    // Even where it has ended: it is not to be created by the next call.
    if (known?.sid === sid) {
      const stored = await this.#change(known, { fields, idleMs, userId });
      Object.assign(known, { fields, userId, ...this.#lifeOf(stored) });
    } else {
      const place = this.#placeOf(sid);
      const stored = await this.#records.create(place, fields, { idleMs, userId });
      this.#known.set(data, { sid, place, fields, userId, ...this.#lifeOf(stored) });
    }
  }

  async #change(
    known: Known,
    { fields, idleMs, userId }: { fields: Fields; idleMs: number; userId: string | undefined },
  ): Promise<StoredSession | undefined> {
    const set = new Map([...fields].filter(([name, text]) => known.fields.get(name) !== text));
    const removed = [...known.fields.keys()].filter((name) => !fields.has(name));
    const newUser = userId === known.userId ? undefined : userId;
    if (set.size === 0 && removed.length === 0 && newUser === undefined)
      return sessionIn(await this.#records.touch(known.place, idleMs));
    return sessionIn(await this.#records.update(known.place, { set, removed, idleMs, userId: newUser }));
  }

  async #touch(sid: string, data: SessionData): Promise<void> {
    if (this.#isTouchDisabled) return;
    const idleMs = this.#lifeMs(data);
    if (idleMs <= 0) return this.#destroy(sid);
    const known = this.#known.get(data);
    const isSame = known !== undefined && Math.abs(idleMs - known.idleMs) < slackMs(known.idleMs);
    if (isSame && this.#module.clock.now() < known.quietUntil) return;
    const stored = sessionIn(await this.#records.touch(this.#placeOf(sid), idleMs));
    if (known !== undefined) Object.assign(known, this.#lifeOf(stored));
  }

  async #destroy(sid: string): Promise<void> {
    await this.#records.remove(this.#records.places.ofId(checkId(sid)));
  }

  async #handles(): Promise<readonly string[]> {
    const all: string[] = [];
    for await (const handle of this.#records.handles()) all.push(handle);
    return all;
  }

  #lifeOf(stored: StoredSession | undefined): Pick<Known, "idleMs" | "quietUntil"> {
    return { idleMs: stored?.idleMs ?? 0, quietUntil: this.#module.clock.now() + quietMs(stored) };
  }

  #placeOf(sid: string): Place {
    const place = this.#records.places.ofId(checkId(sid));
    if (place !== undefined) return place;
    throw new InvalidArgumentError(
      "the id of a session must be 1 to 256 letters, digits and _ . : , + / = @ -; correct genid of express-session",
    );
  }

  /** The end of the cookie was set by the clock of this process, so it is compared with that. */
  #lifeMs(data: SessionData): number {
    if (typeof this.#ttl === "function") return ttlMs(this.#ttl(data));
    const { expires } = data.cookie ?? {};
    if (!expires) return ttlMs(this.#ttl);
    const lifeMs = Math.ceil(Number(new Date(expires)) - Date.now());
    if (!Number.isNaN(lifeMs)) return lifeMs;
    throw new InvalidArgumentError("the end of the cookie of a session, cookie.expires, is not a date");
  }
}

const KNOWN_OPTIONS = [...SESSION_OPTIONS.filter((name) => name !== "idle"), "ttl", "disableTouch", "userOf"];

const idleOf = (ttl: unknown): { idle?: Ttl } => (typeof ttl === "function" ? {} : { idle: ttl as Ttl });

function ttlMs(ttl: Ttl): number {
  if (typeof ttl === "string") return durationMs("ttl", ttl, { min: Number.NEGATIVE_INFINITY });
  throw new InvalidArgumentError(
    'ttl must be text with a unit, such as "24h" or "86400s", or a function that gives such text, got ' +
      `${kindOf(ttl)}; a number would be seconds for connect-redis and milliseconds for hotset`,
  );
}

/** JSON of each field, as express-session would write the whole, but for the cookie. */
function fieldsOf(data: SessionData): Fields {
  const fields = new Map<string, string>();
  for (const [name, value] of Object.entries(data)) {
    const text = fieldText(name, name === "cookie" ? storedCookie(value) : value, JSON.stringify);
    if (text !== undefined) fields.set(name, text);
  }
  return fields;
}

/**
 * Without what every cookie has: a field of up to 64 bytes keeps the hash of the session small (listpack). `null`
 * stands for a default that this one has not. The end of the cookie is that of the session.
 */
function storedCookie(cookie: session.Cookie & { toJSON?: () => object }): object {
  const stored: Record<string, unknown> = { ...(cookie.toJSON?.() ?? cookie) };
  for (const [name, value] of Object.entries(DEFAULTS)) {
    stored[name] ??= null;
    if (stored[name] === value) delete stored[name];
  }
  const ends = Boolean(stored["expires"]);
  if (ends && endsByDefault(stored)) delete stored["expires"];
  else if (ends) stored["expires"] = true;
  else if (endsByDefault(stored)) stored["expires"] = null;
  return stored;
}

function cookieOf(stored: object, endsAt: number): object {
  const cookie: Record<string, unknown> = { ...DEFAULTS, expires: endsByDefault(stored) ? true : undefined, ...stored };
  for (const name of Object.keys(DEFAULTS)) if (cookie[name] === null) delete cookie[name];
  if (cookie["expires"] === undefined) delete cookie["expires"];
  else if (cookie["expires"] !== null) cookie["expires"] = new Date(endsAt).toISOString();
  return cookie;
}

const DEFAULTS = { path: "/", httpOnly: true } as const;

/** A cookie that was given a life has an end. */
const endsByDefault = (cookie: { readonly originalMaxAge?: unknown }): boolean =>
  typeof cookie.originalMaxAge === "number";

/**
 * How long a touch would write nothing. Only an estimate, since the clock of this process may differ from that of the
 * server: by less than the slack the end lags behind by less than twice that, and by more every touch is sent.
 */
function quietMs(stored: StoredSession | undefined): number {
  if (stored === undefined) return 0;
  const sinceMs = stored.isRenewed ? 0 : Date.now() - stored.lastActivity;
  return sinceMs < 0 ? 0 : slackMs(stored.idleMs) - sinceMs;
}

function sessionDataOf(stored: StoredSession): SessionData {
  const data = dataOf<SessionData>(stored) as SessionData;
  data.cookie = cookieOf(data.cookie ?? { originalMaxAge: null, path: null, httpOnly: null }, stored.endsAt) as never;
  return data;
}

/** With a callback, that gets the outcome once, even where it throws; without one the promise has it. */
async function answer<T>(work: Promise<T>, callback: Callback<T> | undefined): Promise<T> {
  if (callback === undefined) return work;
  const report = await work.then(
    (value) => () => callback(null, value),
    (error: unknown) => () => callback(error),
  );
  report();
  return work.catch(() => undefined as T);
}
