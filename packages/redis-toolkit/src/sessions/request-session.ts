import { checkFunction, type Id } from "../module/module.ts";
import type { SessionCookie } from "./session-cookie.ts";
import { fieldText } from "./session-replies.ts";
import type { RegenerateOptions, Session, SessionChanges, Sessions } from "./sessions.ts";

/**
 * The session of one request. Calls that ask Redis reject with `BackendUnavailableError` where it is down, and
 * `CommandError` where it refuses.
 */
export interface RequestSession<Data extends object> {
  /** Change its fields as you like: those that differ are stored before the response goes out. */
  data: Partial<Data>;
  /** `undefined` as long as there is nothing to store. */
  readonly id: string | undefined;
  /** Whose session it is; `undefined` without a user. */
  readonly userId: string | undefined;
  /** The value of a field, as it was when the request began, or was set since. */
  get<Name extends keyof Data>(name: Name): Partial<Data>[Name];
  /** `undefined` removes the field. */
  set<Name extends keyof Data>(name: Name, value: Data[Name] | undefined): void;
  /**
   * A new id for the same data. With `userId` it is a login. Where another request has ended the session meanwhile its
   * data are gone: a login then begins an empty one.
   *
   * @param options or names of fields, as plugins of Fastify give them: only these are kept
   */
  regenerate(options?: RegenerateOptions | readonly (keyof Data & string)[]): Promise<void>;
  /** A logout: ends the session and removes the cookie. */
  destroy(): Promise<void>;
}

/** @throws {InvalidArgumentError} for what `sessions()` did not make. */
export function checkSessions(auth: unknown): void {
  checkFunction(
    "the sessions of requests: touch of sessions(redis)",
    (auth as Partial<Sessions<object>> | null)?.touch,
  );
}

/**
 * A request reads its session and moves the end in one call at its begin, and stores at its end the fields that it has
 * changed. It has a session in Redis only once it has data, or a user.
 */
export class OpenSession<Data extends object> implements RequestSession<Data> {
  data: Partial<Data> = {};
  readonly #auth: Sessions<Data>;
  readonly #cookie: SessionCookie;
  #stored: Session<Data> | undefined;
  /** JSON of each field as it was read. */
  #before: ReadonlyMap<string, string> = new Map();
  /** The cookie that the response has to set. */
  #send: "nothing" | "id" | "removal" = "nothing";
  #isCommitted = false;

  private constructor(auth: Sessions<Data>, cookie: SessionCookie) {
    this.#auth = auth;
    this.#cookie = cookie;
  }

  /** @param header `Cookie` of the request */
  static async begin<Data extends object>(
    auth: Sessions<Data>,
    cookie: SessionCookie,
    header: string | undefined,
  ): Promise<OpenSession<Data>> {
    const session = new OpenSession(auth, cookie);
    const id = cookie.read(header);
    const found = id === undefined ? undefined : await auth.touch(id);
    session.#take(found);
    if (found?.isRenewed === true) session.#send = "id";
    return session;
  }

  get id(): string | undefined {
    return this.#stored?.id;
  }

  get userId(): string | undefined {
    return this.#stored?.userId;
  }

  get<Name extends keyof Data>(name: Name): Partial<Data>[Name] {
    return this.data[name];
  }

  set<Name extends keyof Data>(name: Name, value: Data[Name] | undefined): void {
    // In place: a handler may have taken `data` before.
    if (value === undefined) Reflect.deleteProperty(this.data, name);
    else this.data[name] = value;
  }

  async regenerate(given: RegenerateOptions | readonly (keyof Data & string)[] = {}): Promise<void> {
    if (!isList(given)) return this.#regenerate(given);
    // Before: where it fails no field of the old session is removed.
    await this.#regenerate({});
    const kept = new Set<string>(given);
    for (const name of Object.keys(this.data)) if (!kept.has(name)) Reflect.deleteProperty(this.data, name);
  }

  async #regenerate(options: RegenerateOptions): Promise<void> {
    const { userId } = options;
    const old = this.#stored;
    if (old === undefined) {
      if (userId !== undefined) await this.#create(userId);
      return;
    }
    // The changes of this request so far stay in `data`, and are stored at its end.
    this.#stored = await this.#auth.regenerate(old.id, options);
    this.#send = "id";
    if (this.#stored !== undefined) return;
    this.#take(undefined);
    if (userId !== undefined) await this.#create(userId);
  }

  async destroy(): Promise<void> {
    if (this.#stored !== undefined) await this.#auth.destroy(this.#stored.id);
    this.#take(undefined);
    this.#send = "removal";
  }

  /** Stores changes, once. @returns the header `Set-Cookie`, if the response needs one */
  async commit(): Promise<string | undefined> {
    if (this.#isCommitted) return undefined;
    this.#isCommitted = true;
    const changes = this.#changes();
    if (Object.keys(changes).length > 0) {
      if (this.#stored === undefined) await this.#create(undefined);
      // A session that has ended meanwhile stays so, and its cookie may be that of another by now.
      else if ((await this.#auth.update(this.#stored.id, changes)) === undefined) return undefined;
    }
    if (this.#send === "removal") return this.#cookie.write("", 0);
    if (this.#send === "nothing" || this.#stored === undefined) return undefined;
    // Both are of the same instant: the end has moved in this request.
    const { id, expiresAt, lastActivity } = this.#stored;
    return this.#cookie.write(id, Date.parse(expiresAt) - Date.parse(lastActivity));
  }

  async #create(userId: Id | undefined): Promise<void> {
    this.#stored = await this.#auth.create({ userId, data: this.data });
    this.#before = textsOf(this.data);
    this.#send = "id";
  }

  #take(stored: Session<Data> | undefined): void {
    this.#stored = stored;
    this.data = stored?.data ?? {};
    this.#before = textsOf(this.data);
  }

  #changes(): SessionChanges<Data> {
    const now = textsOf(this.data);
    const names = new Set([...this.#before.keys(), ...now.keys()]);
    const changed = [...names].filter((name) => now.get(name) !== this.#before.get(name));
    return Object.fromEntries(
      changed.map((name) => [name, (this.data as Record<string, unknown>)[name]]),
    ) as SessionChanges<Data>;
  }
}

const isList = (given: unknown): given is readonly string[] => Array.isArray(given);

function textsOf(data: object): ReadonlyMap<string, string> {
  const texts = Object.entries(data).map(([name, value]) => [name, fieldText(name, value)] as const);
  return new Map(texts.filter((entry): entry is readonly [string, string] => entry[1] !== undefined));
}
