import { checkSessions, OpenSession, type RequestSession } from "./request-session.ts";
import { SessionCookie, type SessionCookieOptions } from "./session-cookie.ts";
import type { Sessions } from "./sessions.ts";

export type { RequestSession, SessionCookieOptions };

/** The part of a context of Hono that is used. */
export interface HonoContext {
  /** The request: its header `cookie` names the session. */
  readonly req: { header(name: string): string | undefined };
  /** Adds a header to the response. */
  header(name: string, value: string, options: { readonly append: boolean }): void;
}

/** Sessions of the requests of one application. */
export interface HonoSessions<Data extends object> {
  /** For `app.use`. Stores changes, and sets the cookie, once the handlers have ended. */
  readonly middleware: (context: HonoContext, next: () => Promise<void>) => Promise<void>;
  /** The session of a request. @throws {TypeError} where the middleware did not run for it. */
  of(context: HonoContext): RequestSession<Data>;
}

/**
 * Sessions for Hono. Where Redis is down, a request fails with a `BackendUnavailableError`, and has no empty session.
 *
 * @throws {InvalidArgumentError} for options that can never work.
 */
export function honoSessions<Data extends object>(
  auth: Sessions<Data>,
  options?: SessionCookieOptions,
): HonoSessions<Data> {
  const cookie = new SessionCookie(options);
  checkSessions(auth);
  const open = new WeakMap<object, OpenSession<Data>>();
  return {
    async middleware(context, next) {
      const session = await OpenSession.begin(auth, cookie, context.req.header("cookie"));
      open.set(context, session);
      await next();
      const header = await session.commit();
      if (header !== undefined) context.header("set-cookie", header, { append: true });
    },
    of(context) {
      const session = open.get(context);
      if (session === undefined) throw new TypeError("no session: the middleware did not run for this request");
      return session;
    },
  };
}
