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
import type { Changes, Fields, Records } from "./session-records.ts";
import { dataOf, fieldsOfText, slackMs, type StoredSession } from "./session-replies.ts";

/** Sessions that another program knows: each is the JSON text of its data, under one key, with a life. */
export interface JsonSessionOptions<Data extends object> {
  /** One value of JSON for each session, as other programs have them. */
  readonly store: "json";
  /** The key of a session, without braces that are a hash tag. @default (id) => `session:${id}` */
  readonly key?: ((id: string) => string) | undefined;
  /**
   * The user of a session, from its data, for `list` and `destroyAll`. These know the sessions that this or another
   * process of the toolkit has made or touched.
   */
  readonly userId?: ((data: Partial<Data>) => Id | null | undefined) | undefined;
  /** How long a session lives without activity. @default '24h' */
  readonly idle?: Duration | undefined;
  /** As of other sessions. @default false, and one warning */
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

/** KEYS: session. Replies with its text, the life that is left, and the clock; nothing for none. */
const READ = `${NOW}
local text = redis.call('GET', KEYS[1])
return text and {text, redis.call('PTTL', KEYS[1]), now, 0} or {}`;

/** ARGV: idle time, and how much less may be left without a change. A life that is longer stays. */
const TOUCH = `${NOW}
local text = redis.call('GET', KEYS[1])
if not text then return {} end
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

/** ARGV: the text as it was read, and for how long the former id still leads to the session. */
const LEAVE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('UNLINK', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1`;

/** KEYS: the index of a user. ARGV: a handle, its life, how long the index is kept. */
const ENROL = `${NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1001)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1`;

/** Between a read and the write that depends on it, another process may write: then it is read again. */
const MOST_TRIES = 10;

type Reply = readonly [text: string, leftMs: number, now: number, isRenewed: number] | readonly [];

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
    const text = textOf(fields);
    await moduleOf(this.#redis).runInside((space) => {
      const key = space.inside(place.key);
      return {
        args: ["SET", key, text, "PX", String(idleMs)],
        keys: [key],
        isReadOnly: false,
        replies: "text",
        decode: String,
      };
    });
    moduleOf(this.#redis).counts.sessionsCreated += 1;
    return (await this.#enrolled("create", place, await this.#run("create", READ, [place.key])))!;
  }

  async read(place: Place | undefined): Promise<StoredSession | undefined> {
    return this.#counted(place && this.#sessionOf(place, await this.#run("read", READ, [place.key], [], READ_ONLY)));
  }

  async touch(place: Place | undefined, idleMs: number = this.#settings.idleMs): Promise<StoredSession | undefined> {
    const reply = place && (await this.#run("touch", TOUCH, [place.key], [idleMs, slackMs(idleMs)]));
    return this.#counted(reply && (await this.#enrolled("touch", place, reply)));
  }

  async update(place: Place | undefined, changes: Changes): Promise<StoredSession | undefined> {
    refuseUser(changes.userId);
    if (changes.ifVersion !== undefined)
      throw new InvalidArgumentError('update: sessions with store: "json" have no version, so not with ifVersion');
    return this.#counted(place && (await this.#replaced(place, changes)));
  }

  async #replaced(place: Place, { set, removed, idleMs = this.#settings.idleMs }: Changes) {
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const [text] = await this.#run("update", READ, [place.key]);
      if (text === undefined) return undefined;
      const fields = new Map([...fieldsOfText(text), ...set]);
      for (const name of removed) fields.delete(name);
      const reply = await this.#run("update", REPLACE, [place.key], [text, textOf(fields), idleMs]);
      if (reply.length > 0) return this.#enrolled("update", place, reply);
    }
    throw new SessionConflictError();
  }

  async regenerate(
    from: Place,
    to: Place,
    { graceMs = 0, userId }: { readonly graceMs?: number | undefined; readonly userId?: string | undefined } = {},
  ): Promise<StoredSession | undefined> {
    refuseUser(userId);
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const [text] = await this.#run("regenerate", READ, [from.key]);
      if (text === undefined) return undefined;
      const moved = await this.create(to, fieldsOfText(text));
      // The keys may lie in two slots: where the session was changed meanwhile, the new one is taken back.
      if ((await this.#send("regenerate", [LEAVE, [from.key], [text, graceMs]], Number)) === 1) return moved;
      await this.remove(to);
    }
    throw new SessionConflictError();
  }

  async remove(place: Place | undefined): Promise<boolean> {
    return place !== undefined && (await this.#unlink(place.key)) === 1;
  }

  async removeAll(userId: string): Promise<number> {
    const index = this.#indexOf(userId);
    const handles = await this.#handles(index);
    const removed = await Promise.all(handles.map((handle) => this.remove(this.places.ofHandle(handle))));
    await this.#unlink(index);
    return removed.filter(Boolean).length;
  }

  async list(userId: string): Promise<readonly StoredSession[]> {
    const handles = await this.#handles(this.#indexOf(userId));
    const found = await Promise.all(
      handles.map(async (handle) => {
        const place = this.places.ofHandle(handle);
        return place && this.#sessionOf(place, await this.#run("list", READ, [place.key], [], READ_ONLY));
      }),
    );
    return found.filter((session) => session !== undefined && session.userId === userId) as StoredSession[];
  }

  /** A session that its user's index does not name yet is not found by `list`. */
  async #enrolled(call: string, place: Place, reply: Reply): Promise<StoredSession | undefined> {
    const session = this.#sessionOf(place, reply);
    if (session?.userId === undefined) return session;
    const life = session.idleMs;
    await this.#send(call, [ENROL, [this.#indexOf(session.userId)], [place.handle, life, life + MARGIN_MS]], Number);
    return session;
  }

  #sessionOf(place: Place, [text, leftMs, now, isRenewed]: Reply): StoredSession | undefined {
    if (text === undefined) return undefined;
    const { idleMs, userOf } = this.#settings;
    const fields = fieldsOfText(text);
    const user = userOf?.(dataOf({ fields }));
    const endsAt = now! + (leftMs! < 0 ? idleMs : leftMs!);
    return {
      place,
      userId: user === undefined || user === null ? undefined : idText("userId(data)", user),
      epoch: undefined,
      // The text has neither: the other program may keep them in the data.
      createdAt: Math.min(now!, endsAt - idleMs),
      lastActivity: Math.min(now!, endsAt - idleMs),
      endsAt,
      idleMs: Math.max(idleMs, endsAt - now!),
      version: 0,
      fields,
      isRenewed: isRenewed === 1,
    };
  }

  #counted(session: StoredSession | undefined): StoredSession | undefined {
    const { counts } = moduleOf(this.#redis);
    if (session === undefined) counts.sessionsMissing += 1;
    else counts.sessionsFound += 1;
    return session;
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

  #unlink(name: string): Promise<number> {
    return moduleOf(this.#redis).runInside((space) => {
      const key = space.inside(name);
      return { args: ["UNLINK", key], keys: [key], isReadOnly: false, replies: "text", decode: Number };
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
