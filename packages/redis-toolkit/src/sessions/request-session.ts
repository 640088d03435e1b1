import { checkFunction, type Id } from "../module/module.ts";
import type { SessionCookie } from "./session-cookie.ts";
import { fieldText } from "./session-replies.ts";
import { VISITS, type Visit, type Visits } from "./session-visits.ts";
import type { RegenerateOptions, Session, SessionChanges, Sessions } from "./sessions.ts";

/**
 * The session of one request. Calls that ask Redis reject with `BackendUnavailableError` where it is down, and
 * `CommandError` where it refuses.
 */
export interface RequestSession<Data extends object> {
  /**
   * May be changed and replaced: fields that differ are stored before the response goes out. Later changes are not
   * stored.
   */
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
   * A new id for the same data. With `userId` it is a login. Where another request has given the session a new id
   * meanwhile, this one keeps it within its grace. Where it has ended, its data are gone, and nothing is stored any more:
   * a login then begins an empty one.
   *
   * @param options or names of fields, as plugins of Fastify give them: only these are kept
   */
  regenerate(options?: RegenerateOptions | readonly (keyof Data & string)[]): Promise<void>;
  /** A logout: ends the session, and each that the cookies of the request name, and removes the cookie. */
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
 *
 * Other requests of the browser run at the same time, so the id of a request may move or end meanwhile. By what it leads
 * to (rows), and what the request does (columns):
 *
 *             read       write                 renew the cookie   new id           login              logout
 *   live      session    stored                sent               moves            moves              ends
 *   moved     session    stored                not sent           keeps this one   moves              ends
 *   late      nothing    nothing, no cookie    not sent           nothing          a new session      ends
 *   ended     nothing    nothing, no cookie    not sent           nothing          a new session
 *   none      nothing    a new session                                             a new session
 *
 * `ended` is a session that the request had. Where the id leads is looked at again before a cookie is sent: that of an id
 * that has moved, or of a session that another login has replaced, is not.
 */
export class OpenSession<Data extends object> implements RequestSession<Data> {
  data: Partial<Data> = {};
  readonly #auth: Sessions<Data>;
  readonly #visits: Visits<Session<Data>, RegenerateOptions>;
  readonly #cookie: SessionCookie;
  /** Ids that the request came with. */
  #given: readonly string[] = [];
  #stored: Session<Data> | undefined;
  /** Another request has the session now: this one begins none, but by a login. */
  #isLate = false;
  /** The id that this request has moved the session from. */
  #movedFrom: string | undefined;
  /** JSON of each field as it was read. */
  #before: ReadonlyMap<string, string> = new Map();
  /** The user that the data named as they were read: sessions of JSON have theirs there. */
  #userBefore: string | undefined;
  /** The cookie that the response has to set. `new`: no other request knows the id. */
  #send: "nothing" | "id" | "new" | "removal" = "nothing";
  #isCommitted = false;

  private constructor(auth: Sessions<Data>, cookie: SessionCookie) {
    this.#auth = auth;
    this.#visits = visitsOf(auth);
    this.#cookie = cookie;
  }

  /** @param header `Cookie` of the request */
  static async begin<Data extends object>(
    auth: Sessions<Data>,
    cookie: SessionCookie,
    header: string | undefined,
  ): Promise<OpenSession<Data>> {
    const session = new OpenSession(auth, cookie);
    session.#given = cookie.read(header);
    await session.#find();
    return session;
  }

  /**
   * Looks up the ids that the request has sent, in their order, until one leads to a live session; otherwise takes the
   * best of them.
   */
  async #find(): Promise<void> {
    let best: Visit<Session<Data>> = { state: "none" };
    for (const id of this.#given) {
      const visit = await this.#visits.touch(id);
      if (RANK[visit.state] > RANK[best.state]) best = visit;
      if (visit.state === "live") break;
    }
    this.#take(best.session);
    this.#isLate = best.state === "late";
    if (best.state === "live" && best.session.isRenewed) this.#send = "id";
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
    const moved =
      userId === undefined ? await this.#auth.regenerate(old.id, options) : await this.#visits.login(old.id, options);
    if (moved !== undefined) {
      this.#movedFrom ??= old.id;
      this.#stored = moved;
      this.#send = "id";
      return;
    }
    this.#send = "nothing";
    const visit = await this.#visits.read(old.id);
    // Another request was quicker, and its cookie is on its way.
    if (visit.state === "moved" && userId === undefined) {
      this.#stored = visit.session;
      return;
    }
    const login = this.#isLogin() ? this.#changes() : {};
    this.#take(undefined);
    this.data = login;
    this.#isLate = true;
    if (userId !== undefined) await this.#create(userId);
  }

  /**
   * Whether this request has given the data another user. The session may have one by now that another login has given
   * it.
   */
  #isLogin(): boolean {
    const user = this.#visits.userIn(this.data);
    return user !== undefined && user !== this.#userBefore;
  }

  async destroy(): Promise<void> {
    // Each cookie that is a session: the next request would have the other one.
    const ids = new Set(this.#given);
    if (this.#stored !== undefined) ids.add(this.#stored.id);
    await Promise.all(Array.from(ids, (id) => this.#auth.destroy(id)));
    this.#given = [];
    this.#take(undefined);
    this.#isLate = false;
    this.#send = "removal";
  }

  /** Stores changes, once. @returns the header `Set-Cookie`, if the response needs one */
  async commit(): Promise<string | undefined> {
    if (this.#isCommitted) return undefined;
    this.#isCommitted = true;
    const changes = this.#changes();
    if (Object.keys(changes).length > 0) await this.#store(changes);
    // Last of all, right before the cookie goes out: another request may have moved the session, ended it, or replaced it
    // by a login, and then the browser has a newer cookie, or none.
    const from = this.#cameFrom();
    if (from !== undefined && !(await this.#visits.leadsTo(from, this.#stored!))) this.#send = "nothing";
    if (this.#send === "removal") return this.#cookie.write("", 0);
    if (this.#send === "nothing" || this.#stored === undefined) return undefined;
    // Both are of the same instant: the end has moved in this request.
    const { id, expiresAt, lastActivity } = this.#stored;
    return this.#cookie.write(id, Date.parse(expiresAt) - Date.parse(lastActivity));
  }

  /** The id of the request that leads to the session whose cookie is to be sent. */
  #cameFrom(): string | undefined {
    if (this.#send === "id") return this.#movedFrom ?? this.#stored!.id;
    return this.#send === "new" ? this.#given[0] : undefined;
  }

  async #store(changes: SessionChanges<Data>): Promise<void> {
    if (this.#stored !== undefined) {
      const visit = await this.#visits.update(this.#stored.id, changes);
      this.#settle(visit);
      if (visit.session !== undefined || !this.#isLogin()) return;
      // A login whose grace has ended meanwhile.
      this.#take(undefined);
      this.data = changes;
      await this.#create(undefined);
    } else if (!this.#isLate || this.#isLogin()) await this.#create(undefined);
  }

  #settle(visit: Visit<Session<Data>>): void {
    if (visit.state !== "live") this.#send = "nothing";
    else this.#stored = visit.session;
  }

  async #create(userId: Id | undefined): Promise<void> {
    const [instead] = this.#given;
    const options = { userId, data: this.data };
    const how = userId !== undefined || this.#isLogin() ? "always" : "unless";
    this.#stored =
      instead === undefined ? await this.#auth.create(options) : await this.#visits.begin(instead, options, how);
    this.#remember();
    this.#isLate = this.#stored === undefined;
    this.#send = this.#isLate ? "nothing" : "new";
  }

  #take(stored: Session<Data> | undefined): void {
    this.#stored = stored;
    this.data = stored?.data ?? {};
    this.#remember();
  }

  /** Changes count from the data of now on. */
  #remember(): void {
    this.#before = textsOf(this.data);
    this.#userBefore = this.#visits.userIn(this.data);
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

/** Which of several cookies counts. */
const RANK: Readonly<Record<Visit<unknown>["state"], number>> = { live: 3, moved: 2, late: 1, none: 0 };

/** For what wraps sessions, an id that does not reach one leads to none. */
function visitsOf<Data extends object>(auth: Sessions<Data>): Visits<Session<Data>, RegenerateOptions> {
  type Own = Visits<Session<Data>, RegenerateOptions>;
  const own = (auth as { readonly [VISITS]?: Own })[VISITS];
  if (own !== undefined) return own;
  const visit = (session: Session<Data> | undefined): Visit<Session<Data>> =>
    session === undefined ? { state: "none" } : { state: "live", session };
  return {
    touch: async (id) => visit(await auth.touch(id)),
    read: async (id) => visit(await auth.read(id)),
    update: async (id, changes) => visit(await auth.update(id, changes)),
    leadsTo: async (id, session) => id !== session.id || (await auth.read(id)) !== undefined,
    userIn: () => undefined,
    login: (id, options) => auth.regenerate(id, options),
    begin: (_instead, { userId, data }) => auth.create({ userId: userId as Id | undefined, data: data }),
  };
}

const isList = (given: unknown): given is readonly string[] => Array.isArray(given);

function textsOf(data: object): ReadonlyMap<string, string> {
  const texts = Object.entries(data).map(([name, value]) => [name, fieldText(name, value)] as const);
  return new Map(texts.filter((entry): entry is readonly [string, string] => entry[1] !== undefined));
}
