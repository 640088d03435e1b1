import { InvalidArgumentError } from "@hotset/core";
import { shown } from "../module/module.ts";
import { checkSessions, OpenSession, type RequestSession } from "./request-session.ts";
import { SessionCookie, type SessionCookieOptions } from "./session-cookie.ts";
import type { Sessions } from "./sessions.ts";

export type { RequestSession, SessionCookieOptions };

/** The part of a request of Fastify that is used. */
export interface FastifyRequest {
  /** The header `cookie` names the session. */
  readonly headers: { readonly cookie?: string | undefined };
}

/** The part of a reply of Fastify that is used. */
export interface FastifyReply {
  /** Sets a header of the response. */
  header(name: string, value: string): unknown;
}

/** The part of an instance of Fastify that is used. */
export interface FastifyInstance {
  /** Declares a property of each request. */
  decorateRequest(name: string, property: { getter(this: FastifyRequest): unknown }): unknown;
  /** Adds a hook that runs for each request. */
  addHook(name: "onRequest", hook: (request: FastifyRequest) => Promise<void>): unknown;
  addHook(
    name: "onSend",
    hook: (request: FastifyRequest, reply: FastifyReply, payload: unknown) => Promise<unknown>,
  ): unknown;
}

/** Options of the sessions of Fastify. */
export interface FastifySessionOptions extends SessionCookieOptions {
  /** The property of each request that is its session, `false` for none: `of(request)` alone. @default 'session' */
  readonly property?: string | false | undefined;
}

/** Sessions of the requests of one instance. */
export interface FastifySessions<Data extends object> {
  /** For `app.register`. Stores changes, and sets the cookie, before a reply is sent. */
  readonly plugin: (app: FastifyInstance) => Promise<void>;
  /** The session of a request. @throws {TypeError} where the plugin did not run for it. */
  of(request: FastifyRequest): RequestSession<Data>;
}

/**
 * Sessions for Fastify. Where Redis is down, a request fails with a `BackendUnavailableError`, and has no empty
 * session.
 *
 * @throws {InvalidArgumentError} for options that can never work.
 */
export function fastifySessions<Data extends object>(
  auth: Sessions<Data>,
  { property = "session", ...options }: FastifySessionOptions = {},
): FastifySessions<Data> {
  const cookie = new SessionCookie(options);
  if (property !== false && (typeof property !== "string" || property === ""))
    throw new InvalidArgumentError(
      `fastifySessions: property must be the name of a property, or false, got ${shown(property)}`,
    );
  checkSessions(auth);
  const open = new WeakMap<object, OpenSession<Data>>();
  const plugin = async (app: FastifyInstance): Promise<void> => {
    if (property !== false)
      app.decorateRequest(property, {
        getter() {
          return open.get(this);
        },
      });
    app.addHook("onRequest", async (request) => {
      open.set(request, await OpenSession.begin(auth, cookie, request.headers.cookie));
    });
    app.addHook("onSend", async (request, reply, payload) => {
      const header = await open.get(request)?.commit();
      if (header !== undefined) reply.header("set-cookie", header);
      return payload;
    });
  };
  // Fastify's sign that the hooks are for the whole application, and not for what the plugin registers itself.
  Object.defineProperty(plugin, Symbol.for("skip-override"), { value: true });
  return {
    plugin,
    of(request) {
      const session = open.get(request);
      if (session === undefined) throw new TypeError("no session: the plugin did not run for this request");
      return session;
    },
  };
}
