/**
 * What the id of a request leads to.
 *
 *   live    its session
 *   moved   its session, which has another id by now: the cookie of this one must not be sent
 *   late    another request has moved the session, and there is no grace, or it has ended
 *   none    nothing: it never was, or its session has ended
 */
export type Visit<S> =
  | { readonly state: "live" | "moved"; readonly session: S }
  | { readonly state: "late" | "none"; readonly session?: undefined };

/** What sessions of requests need to know beyond `Sessions`. */
export interface Visits<S, Options> {
  touch(id: string): Promise<Visit<S>>;
  read(id: string): Promise<Visit<S>>;
  update(id: string, changes: object): Promise<Visit<S>>;
  /**
   * Whether an id leads to the session, which has it or has moved from it, and has not moved any further, nor ended. The
   * last command is the one that decides, so that nothing else delays the answer to the browser.
   */
  leadsTo(id: string, session: S): Promise<boolean>;
  /** The user that data name, for sessions that have their user there. */
  userIn(data: object): string | undefined;
  /**
   * Logs a session in: the one of this id, or the one that has moved from it while the id reaches it. `undefined` if
   * there is none.
   */
  login(id: string, options: Options): Promise<S | undefined>;
  /**
   * A session of a request whose id leads to none.
   *
   * @param how `unless`: not where another request with that id has begun one, which lives; then `undefined`
   */
  begin(
    instead: string,
    options: { readonly userId?: unknown; readonly data: object },
    how: "unless" | "always",
  ): Promise<S | undefined>;
}

/** Registered: each entry of the package has a copy of this. What wraps sessions may lack it. */
export const VISITS: unique symbol = Symbol.for("@hotset/redis-toolkit/sessions/visits");
