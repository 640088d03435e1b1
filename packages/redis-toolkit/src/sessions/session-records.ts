import { randomBytes } from "node:crypto";
import type { RedisView } from "../commands/view.ts";
import { CommandError } from "../index.ts";
import { expectNoEviction, moduleOf, type Module } from "../module/module.ts";
import { SessionConflictError } from "./session-conflict-error.ts";
import type { Place, Places } from "./session-places.ts";
import {
  decodeHash,
  decodeReply,
  fieldName,
  NONE,
  sessionIn,
  type Found,
  type SessionReply,
  type StoredSession,
} from "./session-replies.ts";
import {
  ADOPT,
  CLAIM,
  CREATE,
  END,
  ENROL,
  EXAMINE,
  EXPEL,
  REGENERATE,
  REMOVE,
  ROSTER,
  STRIKE,
  TOUCH,
  UPDATE,
} from "./session-scripts.ts";

/** Fields of the data and their JSON. */
export type Fields = ReadonlyMap<string, string>;

export interface RecordSettings {
  readonly places: Places;
  readonly idleMs: number;
  readonly absoluteMs: number;
  readonly requireNoEviction: boolean;
}

export interface Changes {
  readonly set: Fields;
  readonly removed: readonly string[];
  /** Instead of the idle time that the session has. */
  readonly idleMs?: number | undefined;
  readonly userId?: string | undefined;
  readonly ifVersion?: number | undefined;
}

/** The part of a store that `sessions` needs. */
export interface Records extends Pick<
  SessionRecords,
  "create" | "read" | "look" | "touch" | "update" | "regenerate" | "claim" | "remove" | "removeAll" | "list"
> {
  readonly places: Pick<Places, "newId" | "ofId" | "ofHandle">;
  /** The user that the data of a session name. Absent where they do not. */
  readonly userIn?: (data: object) => string | undefined;
}

/** The user's keys outlive each of its sessions, also one that is stored a moment after they were written. */
const MARGIN_MS = 60_000;
/** How many steps of `regenerate` an id in its grace is followed over. */
export const MAX_MOVES = 8;
/** Between the read and the move of a session, another request may move it. */
const MAX_TRIES = 3;
/** Sessions that are read or removed in parallel. */
const AT_ONCE = 100;

/**
 * Sessions as Redis has them: fields of JSON text. A session of a user counts only with the epoch that the user has;
 * that lies in another slot, so it is compared after the session was read or changed.
 */
export class SessionRecords {
  readonly places: Places;
  readonly #redis: RedisView;
  readonly #settings: RecordSettings;
  readonly #answer: "data" | "own";
  readonly #counts: Module["counts"];
  #isEvictionChecked = false;

  /** @param answer `own`: touch and update give sessions without data, for a caller that has them */
  constructor(redis: RedisView, settings: RecordSettings, answer: "data" | "own" = "data") {
    this.#answer = answer;
    this.#redis = redis;
    this.#settings = settings;
    this.places = settings.places;
    this.#counts = moduleOf(redis).counts;
  }

  #ofUser(userId: string): readonly [epoch: string, index: string] {
    return this.places.ofUser(userId, moduleOf(this.#redis).space);
  }

  async create(
    place: Place,
    fields: Fields,
    {
      idleMs = this.#settings.idleMs,
      userId,
    }: { readonly idleMs?: number | undefined; readonly userId?: string | undefined } = {},
  ): Promise<StoredSession> {
    await this.#expectToBeKept();
    const { absoluteMs } = this.#settings;
    const life = Math.min(idleMs, absoluteMs);
    const user =
      userId === undefined ? [] : ["u", userId, "e", await this.#enrol("create", userId, place.handle, life)];
    const reply = await this.#run(
      "create",
      CREATE,
      [place.key],
      [String(life), String(absoluteMs), ...user, ...flat(fields)],
    );
    if (reply.kind !== "session") throw new TypeError(`a session was created, and there is ${reply.kind}`);
    this.#counts.sessionsCreated += 1;
    return { ...reply.session, place, userId, fields };
  }

  /** @param place `undefined` for an id that no session has */
  read(place: Place | undefined): Promise<Found> {
    return this.#counted(place && this.#find("read", place));
  }

  /** Where an id leads by its last command. Whether the user has ended all sessions is not asked. */
  look(place: Place): Promise<Found> {
    const asItIs: Validate = (at, session) => Promise.resolve({ ...session, place: at });
    return this.#follow("read", place, (at) => this.#read("read", at), asItIs);
  }

  async touch(place: Place | undefined, idleMs?: number): Promise<Found> {
    const args = [this.#answer, idleMs === undefined ? "" : String(idleMs)];
    return this.#counted(place && this.#follow("touch", place, ({ key }) => this.#run("touch", TOUCH, [key], args)));
  }

  /** @throws {SessionConflictError} where it has another version than `ifVersion`. */
  async update(place: Place | undefined, changes: Changes): Promise<Found> {
    return this.#counted(place && this.#update(place, changes));
  }

  async #update(place: Place, changes: Changes): Promise<Found> {
    const { set, removed, idleMs, userId, ifVersion } = changes;
    const epoch =
      userId === undefined ? "" : await this.#enrol("update", userId, place.handle, idleMs ?? this.#settings.idleMs);
    const args = [
      this.#answer,
      idleMs === undefined ? "" : String(idleMs),
      ifVersion === undefined ? "" : String(ifVersion),
      userId ?? "",
      epoch,
      String(2 * set.size),
      ...flat(set),
      ...removed.map(fieldName),
    ];
    return this.#follow("update", place, ({ key }) => this.#run("update", UPDATE, [key], args));
  }

  /**
   * Moves a session to the place `to`, in the same slot. With a user it is a login: the user's epoch is taken before
   * the session is read, so one that was ended in between does not come back. `follows`: also one that has moved from
   * there, within its grace.
   */
  async regenerate(
    from: Place,
    to: Place,
    {
      graceMs = 0,
      userId,
      follows = false,
    }: {
      readonly graceMs?: number | undefined;
      readonly userId?: string | undefined;
      readonly follows?: boolean | undefined;
    } = {},
  ): Promise<StoredSession | undefined> {
    const { idleMs, absoluteMs } = this.#settings;
    const epoch = userId === undefined ? "" : await this.#enrol("regenerate", userId, to.handle, idleMs);
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const found = await this.#find("regenerate", from);
      const before = sessionIn(found);
      if (before === undefined || (found.state === "moved" && !follows)) return undefined;
      if (userId === undefined && before.userId !== undefined)
        await this.#enrol("regenerate", before.userId, to.handle, before.idleMs);
      const args = [String(graceMs), to.handle, userId ?? "", epoch, String(absoluteMs)];
      const reply = await this.#run("regenerate", REGENERATE, [before.place.key, to.key], args);
      if (reply.kind !== "session") continue;
      if (before.userId !== undefined) await this.#strike("regenerate", before.userId, before.place.handle);
      return this.#valid("regenerate", to, reply.session);
    }
    return undefined;
  }

  /**
   * Says of an id without a session that the one at `to` has begun in its place.
   *
   * @param how `unless`: not where another live one has; `always`: that one ends, and all its ids lead to the new one
   * @returns whether it was said
   */
  async claim(place: Place, to: Place, how: "unless" | "always"): Promise<boolean> {
    if (how === "always") {
      await this.#remove("create", place, to);
      return true;
    }
    for (let tries = 0, former = ""; tries < MAX_TRIES; tries += 1) {
      const args = [to.handle, former];
      const reply = await this.#send("create", CLAIM, [place.key], args, (given) => given as 1 | string);
      if (reply === 1) return true;
      const other = this.places.ofHandle(reply);
      if (other !== undefined && sessionIn(await this.#find("create", other)) !== undefined) return false;
      former = reply;
    }
    return false;
  }

  async remove(place: Place | undefined): Promise<boolean> {
    const wasThere = place !== undefined && (await this.#remove("destroy", place));
    if (wasThere) this.#counts.sessionsEnded += 1;
    return wasThere;
  }

  /** @param instead the session that all ids of the removed one lead to from now on */
  async #remove(call: Call, place: Place, instead?: Place): Promise<boolean> {
    let from: Place | undefined = place;
    let isRemoved = false;
    for (let moves = 0; from !== undefined && moves <= MAX_MOVES; moves += 1) {
      const [count, userId, epoch, to]: Removed = await this.#send(
        call,
        REMOVE,
        [from.key],
        [instead?.handle ?? ""],
        (reply) => reply as Removed,
      );
      const current = userId === null ? epoch : await this.#strike(call, userId, from.handle);
      // Unknown where the index could not be changed: the record was there all the same.
      isRemoved ||= count === 1 && to === null && (current === epoch || current === undefined);
      from = to === null ? undefined : this.places.ofHandle(to);
    }
    return isRemoved;
  }

  /** @returns how many sessions the index of the user named */
  async removeAll(userId: string): Promise<number> {
    const handles = await this.#send(
      "destroyAll",
      EXPEL,
      this.#ofUser(userId),
      [],
      (reply) => reply as readonly string[],
    );
    const keys = handles.flatMap((handle) => this.places.ofHandle(handle)?.key ?? []);
    try {
      const removed = await inWindows(keys, (key) => this.#send("destroyAll", END, [key], [userId], Number));
      const ended = removed.reduce((sum, count) => sum + count, 0);
      this.#counts.sessionsEnded += ended;
      return ended;
    } catch (error) {
      // They have ended with the epoch: what is left of them goes with its life.
      moduleOf(this.#redis).report("sessions", error);
      return 0;
    }
  }

  /** The sessions of a user, by its index, from which those that have ended are removed. */
  async list(userId: string): Promise<readonly StoredSession[]> {
    type Roster = readonly [epoch: string | null, handles: readonly string[]];
    const keys = this.#ofUser(userId);
    const [epoch, handles] = await this.#send("list", ROSTER, keys, [], (reply) => reply as Roster);
    const found = await inWindows(handles, (handle) => this.#peek("list", handle));
    const isOwn = (session: StoredSession | undefined): session is StoredSession =>
      session !== undefined && session.userId === userId && session.epoch === epoch;
    const gone = handles.filter((_, i) => !isOwn(found[i]));
    if (gone.length > 0) await this.#hint(["ZREM", keys[1], ...gone]);
    return found.filter(isOwn);
  }

  /** The handles of all sessions of all users, among them some that an end of all sessions of a user has ended. */
  async *handles(): AsyncGenerator<string, void, undefined> {
    for await (const key of this.#redis.commands.scan({ match: this.places.pattern })) {
      const handle = this.places.handleOf(key);
      if (handle !== undefined) yield handle;
    }
  }

  async all(): Promise<readonly StoredSession[]> {
    const handles = await collected(this.handles());
    const found = await inWindows(handles, async (handle) => {
      const place = this.places.ofHandle(handle);
      return place === undefined ? undefined : this.#find("read", place);
    });
    return found.flatMap((one) => (one?.state === "live" ? [one.session] : []));
  }

  /** Removes all sessions of all users, and what is kept about users. */
  async clear(): Promise<void> {
    const keys = await collected(this.#redis.commands.scan({ match: this.places.pattern }));
    // Key by key: in a cluster they lie in many slots.
    await inWindows(keys, (key) => this.#command(["UNLINK", key]));
  }

  /** Once. Where a warning is enough, nothing waits for it. */
  async #expectToBeKept(): Promise<void> {
    if (this.#isEvictionChecked) return;
    const required = this.#settings.requireNoEviction;
    const asked = expectNoEviction(this.#redis, "sessions", { required });
    if (required) await asked;
    this.#isEvictionChecked = true;
  }

  async #counted(step: Promise<Found> | undefined): Promise<Found> {
    const found = (await step) ?? NONE;
    if (sessionIn(found) === undefined) this.#counts.sessionsMissing += 1;
    else this.#counts.sessionsFound += 1;
    return found;
  }

  #find(call: Call, place: Place): Promise<Found> {
    return this.#follow(call, place, (at) => this.#read(call, at));
  }

  /** Carries out a step where the session is now. Once the grace of an id has ended, it only looks what is there. */
  async #follow(
    call: Call,
    place: Place,
    step: (place: Place) => Promise<SessionReply>,
    validate: Validate = (at, session) => this.#valid(call, at, session),
  ): Promise<Found> {
    let at: Place | undefined = place;
    let state: "live" | "moved" | "late" = "live";
    for (let moves = 0; at !== undefined && moves <= MAX_MOVES; moves += 1) {
      const reply: SessionReply = state === "late" ? await this.#read(call, at) : await step(at);
      switch (reply.kind) {
        case "absent":
          return NONE;
        case "session": {
          const session = await validate(at, reply.session);
          return session === undefined ? NONE : { state, session };
        }
        case "moved":
          at = this.places.ofHandle(reply.to);
          if (reply.isOver) state = "late";
          else if (state === "live") state = "moved";
          break;
        case "foreign":
          await this.#adopt(call, at, reply);
          break;
        case "conflict":
          throw new SessionConflictError();
      }
    }
    return NONE;
  }

  /** Whether its user still has the epoch of the session. One whose end moved gets it in the user's index, too. */
  async #valid(call: Call, place: Place, stored: Omit<StoredSession, "place">): Promise<StoredSession | undefined> {
    const session: StoredSession = { ...stored, place };
    if (session.userId === undefined) return session;
    const [epochKey, indexKey] = this.#ofUser(session.userId);
    const [epoch] = await Promise.all([
      this.#command(["GET", epochKey], { isReadOnly: true }),
      session.isRenewed ? this.#hint(["ZADD", indexKey, "XX", String(session.endsAt), place.handle]) : undefined,
    ]);
    if (epoch === session.epoch) return session;
    await this.#remove(call, place);
    return undefined;
  }

  /**
   * Changes the index of a user. It is a hint: where this fails, `list` misses a session, or reads one too many. Ends
   * are changed only of sessions that it names, so an index that was removed meanwhile does not come back, without a
   * life.
   */
  async #hint(command: readonly [name: string, key: string, ...rest: string[]]): Promise<void> {
    try {
      await this.#command(command);
    } catch (error) {
      moduleOf(this.#redis).report("sessions", error);
    }
  }

  /** Reads a session as it is stored, without a comparison of the user's epoch. */
  async #peek(call: Call, handle: string): Promise<StoredSession | undefined> {
    const place = this.places.ofHandle(handle);
    if (place === undefined) return undefined;
    const reply = await this.#read(call, place);
    return reply.kind === "session" ? { ...reply.session, place } : undefined;
  }

  /** If it was changed meanwhile, nothing: then the next step finds that. */
  async #adopt(call: Call, place: Place, { text, fields }: SessionReply & { readonly kind: "foreign" }): Promise<void> {
    const { idleMs, absoluteMs } = this.#settings;
    await this.#send(call, ADOPT, [place.key], [text, String(idleMs), String(absoluteMs), ...flat(fields)], Number);
  }

  /** Names a session in the index of its user. @returns the user's epoch */
  #enrol(call: Call, userId: string, handle: string, idleMs: number): Promise<string> {
    const epoch = randomBytes(EPOCH_BYTES).toString("base64url");
    const args = [epoch, handle, String(idleMs), String(this.#settings.absoluteMs + MARGIN_MS)];
    return this.#send(call, ENROL, this.#ofUser(userId), args, String);
  }

  /** Takes a session out of the index of its user: a hint, too. @returns the epoch; `undefined` where that failed */
  async #strike(call: Call, userId: string, handle: string): Promise<string | null | undefined> {
    try {
      return await this.#send(call, STRIKE, this.#ofUser(userId), [handle], (reply) => reply as string | null);
    } catch (error) {
      moduleOf(this.#redis).report("sessions", error);
      return undefined;
    }
  }

  /** One command suffices, but for a key of another type, and for one that has moved. */
  async #read(call: Call, { key }: Place): Promise<SessionReply> {
    try {
      const reply = await this.#command(["HGETALL", key], { isReadOnly: true, decode: decodeHash });
      return reply.kind === "moved" ? await this.#run(call, EXAMINE, [key], []) : reply;
    } catch (error) {
      if (!(error instanceof CommandError) || error.code !== "WRONG_TYPE") throw error;
      return this.#run(call, EXAMINE, [key], []);
    }
  }

  /** Over the keys of the view alone: a tenant that falls back has no sessions outside. */
  #command<T = unknown>(
    [name, key, ...rest]: readonly [name: string, key: string, ...rest: string[]],
    {
      isReadOnly = false,
      decode = (reply) => reply as T,
    }: { isReadOnly?: boolean | undefined; decode?: ((reply: unknown) => T) | undefined } = {},
  ): Promise<T> {
    return moduleOf(this.#redis).runInside((space) => {
      const at = space.inside(key);
      return { args: [name, at, ...rest], keys: [at], isReadOnly, replies: "text", decode };
    });
  }

  #run(call: Call, script: string, keys: readonly string[], args: readonly string[]): Promise<SessionReply> {
    return this.#send(call, script, keys, args, decodeReply);
  }

  #send<T>(
    call: Call,
    script: string,
    keys: readonly string[],
    args: readonly string[],
    decode: (reply: unknown) => T,
  ): Promise<T> {
    return moduleOf(this.#redis).runScript(script, keys, args, { decode, operation: `sessions.${call}` });
  }
}

type Validate = (at: Place, session: Omit<StoredSession, "place">) => Promise<StoredSession | undefined>;

/** For errors. */
type Call = "create" | "read" | "touch" | "update" | "regenerate" | "destroy" | "destroyAll" | "list";

type Removed = readonly [count: number, userId: string | null, epoch: string | null, to: string | null];

const EPOCH_BYTES = 12;

const flat = (fields: Fields): readonly string[] => [...fields].flatMap(([name, text]) => [fieldName(name), text]);

async function collected<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function inWindows<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let i = 0; i < items.length; i += AT_ONCE)
    results.push(...(await Promise.all(items.slice(i, i + AT_ONCE).map(run))));
  return results;
}
