import { isReply, isTemporary } from "./faults.ts";
import { subscription } from "./channel.ts";
import { HeardServer, type Send } from "./heard-server.ts";
import { Hub } from "./hub.ts";
import type { LinkSettings } from "./link.ts";
import { loadScripts, type NodeClient, type Session } from "./session.ts";
import { SingleLink } from "./single-link.ts";
import { tracking } from "./tracking.ts";

/** Makes one connection, and makes it ready by `prepare`. */
export type Open = (aborted: AbortSignal, prepare: (client: NodeClient) => Promise<void>) => Promise<Session>;

/** A link to one server: changes are heard on it, or on a second connection that subscribes. That one is opened when it is needed. */
export function heardLink(open: Open, settings: LinkSettings & { readonly protocol: 2 | 3 }): SingleLink {
  const { clock } = settings;
  const tracks = new Hub(clock, () => link.ready(), () => [server]);
  const server: HeardServer = new HeardServer(tracks, clock, tracking(), () => isPrimary());
  const channel = new Hub(clock, async () => void (await Promise.all([link.ready(), subscribed.ready()])), () => [subscriber]);
  const subscriber = new HeardServer(channel, clock, subscription(), () => isPrimary());
  const subscribed = new SingleLink((aborted) => open(aborted, (client) => subscriber.prepare(client, nothing)), settings, subscriber);
  const link = new SingleLink((aborted) => open(aborted, (client) => server.prepare(client, loadScripts)), settings, server, {
    tracking: settings.protocol === 3 ? tracks : undefined,
    channel,
    close: () => subscribed.close(),
  });
  const isPrimary = rolesOf(server.send, (error) => link.distrust(error));
  return link;
}

/**
 * Asks for the role. One that changes is a reason for a new connection, on which it is found out who the server is. A
 * user who may not ask takes it for the primary.
 */
function rolesOf(send: Send, distrust: (error: Error) => void): () => Promise<boolean> {
  let isAsked = true;
  let was: boolean | undefined;
  return async () => {
    if (!isAsked) return true;
    try {
      const [role] = (await send(["ROLE"])) as readonly unknown[];
      const isPrimary = String(role) === "master";
      if (was !== undefined && was !== isPrimary) distrust(new Error(`it is ${isPrimary ? "the primary" : "a replica"} now`));
      was = isPrimary;
      return isPrimary;
    } catch (error) {
      if (!isReply(error) || isTemporary(error)) throw error;
      isAsked = false;
      return true;
    }
  };
}

const nothing = (): Promise<void> => Promise.resolve();
