import { randomUUID } from "node:crypto";
import { InvalidArgumentError, type Duration } from "@hotset/core";
import type { RedisView } from "../commands/view.ts";
import {
  checkFlag,
  checkFunction,
  checkOptions,
  durationMs,
  expectNoEviction,
  idText,
  keyBy,
  moduleOf,
  type Id,
} from "../module/module.ts";
import { SessionConflictError } from "./session-conflict-error.ts";
import { ID, type Place } from "./session-places.ts";
import { MAX_MOVES, type Changes, type Fields, type Records } from "./session-records.ts";
import { dataOf, fieldsOfText, NONE, sessionIn, slackMs, type Found, type StoredSession } from "./session-replies.ts";
import { MOVED_MS } from "./session-scripts.ts";

/**
 * Sessions that another program reads and writes: each is the JSON text of its data, under one key, with a life. Such a
 * session has no `absolute` end, no version (`ifVersion` is refused), and its user only in its data. `createdAt` and
 * `lastActivity` follow from the life that is left.
 */
export interface JsonSessionOptions<Data extends object> {
  /** One value of JSON for each session, as other programs have them. */
  readonly store: "json";
  /**
   * The key of a session, without braces that are a hash tag. The id stands in it, so a reader of the keys can take
   * over sessions. @default (id) => `session:${id}`
   */
  readonly key?: ((id: string) => string) | undefined;
  /**
   * The user of a session, from its data, for `list` and `destroyAll`. These know the sessions that this or another
   * process of the toolkit has made or touched. @default none
   */
  readonly userId?: ((data: Partial<Data>) => Id | null | undefined) | undefined;
  /** How long a session lives without activity. @default '24h' */
  readonly idle?: Duration | undefined;
  /** Refuses a server that may evict sessions, as other sessions do. @default false, which reports it once */
  readonly requireNoEviction?: boolean | undefined;
}

interface JsonSettings {
  readonly keyOf: (id: string) => string;
  readonly userOf: ((data: object) => Id | null | undefined) | undefined;
  readonly idleMs: number;
  readonly requireNoEviction: boolean;
}

/** @throws {InvalidArgumentError} It names the option. */
function resolve<Data extends object>(options: JsonSessionOptions<Data>): JsonSettings {
  checkOptions("sessions(redis, options)", options, ["store", "key", "userId", "idle", "requireNoEviction"]);
  const { key = (id) => `session:${id}`, userId, idle = "24h", requireNoEviction = false } = options;
  checkFunction("sessions: key", key);
  if (userId !== undefined) checkFunction("sessions: userId", userId);
  checkFlag("sessions: requireNoEviction", requireNoEviction);
  return { keyOf: key, userOf: userId, idleMs: durationMs("idle", idle, { min: 1_000 }), requireNoEviction };
}

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

// An id that has moved has no session, but a mark in the slot of its key, which other programs do not read: when its
// grace ends, and the handle that it has moved to. The states are those of session-scripts.ts.

/** Lua: the reply for an id without a session: nothing, or where the id has moved and whether its grace has ended. */
const MOVED = `${NOW}
local function moved()
  local mark = redis.call('GET', KEYS[2])
  if not mark then return {} end
  local ends, to = string.match(mark, '^(%d+) (.*)$')
  return {'', to, now >= tonumber(ends) and 1 or 0}
end`;

/** KEYS: session, its mark. Replies with its text, the life that is left, and the clock; nothing for none. */
const READ = `${MOVED}
local text = redis.call('GET', KEYS[1])
return text and {text, redis.call('PTTL', KEYS[1]), now, 0} or moved()`;

/** KEYS: session. ARGV: its text, idle time. */
const CREATE = `${NOW}
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {ARGV[1], tonumber(ARGV[2]), now, 0}`;

/** ARGV: idle time, and how much less may be left without a change. A life that is longer stays. */
const TOUCH = `${MOVED}
local text = redis.call('GET', KEYS[1])
if not text then return moved() end
local left, isRenewed = redis.call('PTTL', KEYS[1]), 0
if left < ARGV[1] - ARGV[2] then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left, isRenewed = tonumber(ARGV[1]), 1
end
return {text, left, now, isRenewed}`;

/** ARGV: the text as it was read, what it becomes, idle time. Nothing is written where it was changed meanwhile. */
const REPLACE = `${NOW}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {} end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return {ARGV[2], tonumber(ARGV[3]), now, 1}`;

/** ARGV: the text as it was read, for how long the former id still leads to the session, and the new handle. */
const LEAVE = `${NOW}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[1])
redis.call('SET', KEYS[2], string.format('%.0f ', now + ARGV[2]) .. ARGV[3], 'PX', ARGV[2] + ${MOVED_MS})
return 1`;

/**
 * ARGV: the handle that the id leads to from now on, or ''. Replies with whether it was there, and the handle that it
 * has led to until now, or ''. One step: of two simultaneous logins the later one finds the session of the former.
 */
const REMOVE = `
local mark = redis.call('GET', KEYS[2])
local removed = redis.call('UNLINK', KEYS[1])
if ARGV[1] == '' then redis.call('UNLINK', KEYS[2])
else redis.call('SET', KEYS[2], '0 ' .. ARGV[1], 'PX', ${MOVED_MS}) end
return {removed, mark and string.match(mark, '^%d+ (.*)$') or ''}`;

/** As that of hashes. ARGV: the new handle, and the handle that may be replaced, or ''. */
const CLAIM = `
if redis.call('EXISTS', KEYS[1]) == 1 then return '' end
local mark = redis.call('GET', KEYS[2])
local to = mark and string.match(mark, '^%d+ (.*)$')
if to and to ~= ARGV[2] then return to end
redis.call('SET', KEYS[2], '0 ' .. ARGV[1], 'PX', ${MOVED_MS})
return ''`;

/** KEYS: the index of a user. ARGV: a handle, its life, how long the index is kept. */
const ENROL = `${NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1001)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1`;

/** Between a read and the write that depends on it, another process may write: then it is read again. */
const MOST_TRIES = 10;

type Present = readonly [text: string, leftMs: number, now: number, isRenewed: number];
type Reply = Present | readonly [none: "", to: string, isOver: number] | readonly [];
const isPresent = (reply: Reply): reply is Present => reply.length === 4;

/** One step over the keys of a session or of a user. */
type Step = readonly [script: string, keys: readonly string[], args?: readonly (string | number)[]];

/** Sessions as another program has them. They have no version, and no end but that of their life. */
export class JsonRecords implements Records {
  readonly #redis: RedisView;
  readonly #settings: JsonSettings;
  #isEvictionChecked = false;

  constructor(redis: RedisView, options: JsonSessionOptions<never>) {
    this.#redis = redis;
    this.#settings = resolve(options);
  }

  /** The user that data name, where they are of another user, or of none. */
  readonly userIn = (data: object): string | undefined => {
    const user = this.#settings.userOf?.(data);
    return user === undefined || user === null ? undefined : idText("userId(data)", user);
  };

  readonly places = {
    newId: (): string => randomUUID(),
    ofId: (id: string): Place | undefined =>
      ID.test(id) ? { key: keyBy("sessions", this.#settings.keyOf, id), handle: id } : undefined,
    ofHandle: (handle: string): Place | undefined => this.places.ofId(handle),
  };

  async create(
    place: Place,
    fields: Fields,
    { idleMs = this.#settings.idleMs, userId }: Partial<Changes> = {},
  ): Promise<StoredSession> {
    refuseUser(userId);
    if (!this.#isEvictionChecked) {
      const { requireNoEviction: required } = this.#settings;
      const asked = expectNoEviction(this.#redis, "sessions", { required });
      if (required) await asked;
      this.#isEvictionChecked = true;
    }
    const reply = await this.#run("create", CREATE, [place.key], [textOf(fields), idleMs]);
    moduleOf(this.#redis).counts.sessionsCreated += 1;
    return this.#enrolled("create", place, reply as Present);
  }

  async read(place: Place | undefined): Promise<Found> {
    return this.#counted(place && (await this.#find("read", place)));
  }

  /** As {@link SessionRecords.look}. */
  look(place: Place): Promise<Found> {
    return this.#find("read", place);
  }

  async touch(place: Place | undefined, idleMs: number = this.#settings.idleMs): Promise<Found> {
    const step = (at: Place): Promise<Reply> => this.#run("touch", TOUCH, this.#keysOf(at), [idleMs, slackMs(idleMs)]);
    const found = place && (await this.#follow("touch", place, step));
    const session = found && sessionIn(found);
    if (session !== undefined) await this.#enrol("touch", session);
    return this.#counted(found);
  }

  async update(place: Place | undefined, changes: Changes): Promise<Found> {
    refuseUser(changes.userId);
    if (changes.ifVersion !== undefined)
      throw new InvalidArgumentError('update: sessions with store: "json" have no version, so not with ifVersion');
    return this.#counted(place && (await this.#replaced(place, changes)));
  }

  async #replaced(place: Place, { set, removed, idleMs = this.#settings.idleMs }: Changes): Promise<Found> {
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      let text = "";
      const found = await this.#find("update", place, (reply) => ([text] = reply));
      const session = sessionIn(found);
      if (session === undefined) return found;
      const fields = new Map([...session.fields, ...set]);
      for (const name of removed) fields.delete(name);
      const keys = this.#keysOf(session.place);
      const reply = await this.#run("update", REPLACE, keys, [text, textOf(fields), idleMs]);
      const state = found.state === "moved" ? "moved" : "live";
      if (isPresent(reply)) return { state, session: await this.#enrolled("update", session.place, reply) };
    }
    throw new SessionConflictError();
  }

  /** Carries out a step where the session is now. Once the grace of an id has ended, it only looks what is there. */
  async #follow(
    call: string,
    place: Place,
    step: (place: Place) => Promise<Reply>,
    seen?: (reply: Present) => void,
  ): Promise<Found> {
    let at: Place | undefined = place;
    let state: "live" | "moved" | "late" = "live";
    for (let moves = 0; at !== undefined && moves <= MAX_MOVES; moves += 1) {
      const reply: Reply = state === "late" ? await this.#look(call, at) : await step(at);
      if (isPresent(reply)) {
        seen?.(reply);
        return { state, session: this.#sessionOf(at, reply) };
      }
      const [, to, isOver] = reply;
      if (to === undefined) return NONE;
      at = this.places.ofHandle(to);
      if (isOver === 1) state = "late";
      else if (state === "live") state = "moved";
    }
    return NONE;
  }

  #find(call: string, place: Place, seen?: (reply: Present) => void): Promise<Found> {
    return this.#follow(call, place, (at) => this.#look(call, at), seen);
  }

  #look(call: string, place: Place): Promise<Reply> {
    return this.#run(call, READ, this.#keysOf(place), [], READ_ONLY);
  }

  /** Keys of a session and of the mark that its id has moved, both in one slot. */
  #keysOf({ key }: Place): readonly [key: string, mark: string] {
    const { space } = moduleOf(this.#redis);
    // No id has this character, so it is the key of no session.
    const mark = key.includes("}") && !/\{[^}]+\}/.test(key) ? `${key}:~moved` : space.beside(key, "~moved");
    return [key, mark];
  }

  async regenerate(
    from: Place,
    to: Place,
    { graceMs = 0, userId }: { readonly graceMs?: number | undefined; readonly userId?: string | undefined } = {},
  ): Promise<StoredSession | undefined> {
    refuseUser(userId);
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const reply = await this.#look("regenerate", from);
      if (!isPresent(reply)) return undefined;
      const [text] = reply;
      const moved = await this.create(to, fieldsOfText(text));
      // The keys may lie in two slots: where the session was changed meanwhile, the new one is taken back.
      const leave: Step = [LEAVE, this.#keysOf(from), [text, graceMs, to.handle]];
      if ((await this.#send("regenerate", leave, Number)) === 1) return moved;
      await this.remove(to);
    }
    throw new SessionConflictError();
  }

  /** As {@link SessionRecords.claim}. */
  async claim(place: Place, to: Place, how: "unless" | "always"): Promise<boolean> {
    if (how === "always") {
      await this.remove(place, to);
      return true;
    }
    for (let tries = 0, former = ""; tries < MOST_TRIES; tries += 1) {
      const step: Step = [CLAIM, this.#keysOf(place), [to.handle, former]];
      const reply = await this.#send("create", step, String);
      if (reply === "") return true;
      const other = this.places.ofHandle(reply);
      if (other !== undefined && sessionIn(await this.#find("create", other)) !== undefined) return false;
      former = reply;
    }
    return false;
  }

  /** @param instead the session that all ids of the removed one lead to from now on */
  async remove(place: Place | undefined, instead?: Place): Promise<boolean> {
    let isRemoved = false;
    for (let from = place, moves = 0; from !== undefined && moves <= MAX_MOVES; moves += 1) {
      const step: Step = [REMOVE, this.#keysOf(from), [instead?.handle ?? ""]];
      type Removed = readonly [count: number, to: string];
      const call = instead === undefined ? "destroy" : "create";
      const [count, to] = await this.#send(call, step, (reply) => reply as Removed);
      isRemoved ||= count === 1;
      from = to === "" ? undefined : this.places.ofHandle(to);
    }
    return isRemoved;
  }

  async removeAll(userId: string): Promise<number> {
    const index = this.#indexOf(userId);
    const handles = await this.#handles(index);
    const removed = await Promise.all(handles.map((handle) => this.#removeOf(userId, handle)));
    // Those that were read, and not the whole index: it may name sessions that were made meanwhile.
    if (handles.length > 0) await this.#forget(index, handles);
    return removed.filter(Boolean).length;
  }

  /** The data of a session may name another user since it came into the index. */
  async #removeOf(userId: string, handle: string): Promise<boolean> {
    const place = this.places.ofHandle(handle);
    if (place === undefined) return false;
    // One that cannot be read is removed: it is not known to be of another user.
    const found = await this.look(place).catch(() => NONE);
    return (found.state === "none" || found.session.userId === userId) && this.remove(place);
  }

  async list(userId: string): Promise<readonly StoredSession[]> {
    const handles = await this.#handles(this.#indexOf(userId));
    const found = await Promise.all(
      handles.map(async (handle) => {
        const place = this.places.ofHandle(handle);
        const reply = place && (await this.#look("list", place));
        return reply && isPresent(reply) ? this.#sessionOf(place, reply) : undefined;
      }),
    );
    return found.filter((session) => session !== undefined && session.userId === userId) as StoredSession[];
  }

  /** A session that its user's index does not name yet is not found by `list`. */
  async #enrolled(call: string, place: Place, reply: Present): Promise<StoredSession> {
    const session = this.#sessionOf(place, reply);
    await this.#enrol(call, session);
    return session;
  }

  async #enrol(call: string, { place, userId, idleMs }: StoredSession): Promise<void> {
    if (userId === undefined) return;
    await this.#send(call, [ENROL, [this.#indexOf(userId)], [place.handle, idleMs, idleMs + MARGIN_MS]], Number);
  }

  #sessionOf(place: Place, [text, leftMs, now, isRenewed]: Present): StoredSession {
    const { idleMs } = this.#settings;
    const fields = fieldsOfText(text);
    const endsAt = now + (leftMs < 0 ? idleMs : leftMs);
    return {
      place,
      userId: this.userIn(dataOf({ fields })),
      epoch: undefined,
      // The text has neither: the other program may keep them in the data.
      createdAt: Math.min(now, endsAt - idleMs),
      lastActivity: Math.min(now, endsAt - idleMs),
      endsAt,
      idleMs: Math.max(idleMs, endsAt - now),
      version: 0,
      fields,
      isRenewed: isRenewed === 1,
    };
  }

  #counted(found: Found = NONE): Found {
    const { counts } = moduleOf(this.#redis);
    if (sessionIn(found) === undefined) counts.sessionsMissing += 1;
    else counts.sessionsFound += 1;
    return found;
  }

  #indexOf(userId: string): string {
    if (this.#settings.userOf === undefined)
      throw new InvalidArgumentError("sessions: give userId: (data) => ..., so that sessions of a user are known");
    return `session:~of:${moduleOf(this.#redis).space.hashTagged(userId)}`;
  }

  #handles(index: string): Promise<readonly string[]> {
    return moduleOf(this.#redis).runInside((space) => {
      const key = space.inside(index);
      const decode = (reply: unknown): readonly string[] => reply as readonly string[];
      return { args: ["ZRANGE", key, "0", "-1"], keys: [key], isReadOnly: true, replies: "text", decode };
    });
  }

  #forget(index: string, handles: readonly string[]): Promise<number> {
    return moduleOf(this.#redis).runInside((space) => {
      const key = space.inside(index);
      return { args: ["ZREM", key, ...handles], keys: [key], isReadOnly: false, replies: "text", decode: Number };
    });
  }

  #run(
    call: string,
    script: string,
    keys: readonly string[],
    args: Step[2] = [],
    { isReadOnly = false } = {},
  ): Promise<Reply> {
    return this.#send(call, [script, keys, args], (reply) => reply as Reply, isReadOnly);
  }

  /** @param call of the user, for errors */
  #send<T>(
    call: string,
    [script, keys, args = []]: Step,
    decode: (reply: unknown) => T,
    isReadOnly = false,
  ): Promise<T> {
    const draft = { decode, isReadOnly, operation: `sessions.${call}` };
    return moduleOf(this.#redis).runScript(script, keys, args.map(String), draft);
  }
}

const READ_ONLY = { isReadOnly: true };

const MARGIN_MS = 60_000;

const textOf = (fields: Fields): string =>
  `{${[...fields].map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;

function refuseUser(userId: string | undefined): void {
  if (userId !== undefined)
    throw new InvalidArgumentError('sessions with store: "json" have their user in the data: give it there');
}
