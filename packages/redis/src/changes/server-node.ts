import { subscription } from "./channel.ts";
import { isRefusal } from "../primitives/faults.ts";
import { ServerFeed } from "./server-feed.ts";
import { ChangeHub } from "./change-hub.ts";
import type { LinkSettings } from "../connection/link.ts";
import { ServerIdentityGuard } from "./server-identity.ts";
import { loadScripts, type NodeClient, type Session } from "../connection/session.ts";
import { SingleLink } from "../connection/single-link.ts";
import { tracking } from "./tracking.ts";

/** Makes one connection, and makes it ready by `prepare`. */
export type Open = (aborted: AbortSignal, prepare: (client: NodeClient) => Promise<void>) => Promise<Session>;

/** Those who hear of changes from the servers, and those who hear of them from whoever makes them. */
export interface ChangeHubs {
  readonly tracking: ChangeHub;
  readonly channel: ChangeHub;
}

/** One server: changes are heard on the connection for calls, or on a second one that subscribes. That one is opened when it is needed. */
export interface ServerNode {
  readonly link: SingleLink;
  readonly server: ServerFeed;
  readonly subscribed: SingleLink;
  readonly subscriber: ServerFeed;
  readonly identityGuard: ServerIdentityGuard;
}

/** Tells those who listen, in either way, that another server answers. */
export function reportReplaced(hubs: ChangeHubs): void {
  hubs.tracking.replaced();
  hubs.channel.replaced();
}

/**
 * A link to one server that stands alone, or that others name as the primary.
 *
 * @param carriesCalls whether what is read comes over it; if not, changes are heard on it only.
 */
export function subscribedLink(
  open: Open,
  settings: LinkSettings & { readonly protocol: 2 | 3 },
  isDataConnection = true,
): { readonly link: SingleLink; readonly identityGuard: ServerIdentityGuard } {
  const hubs: ChangeHubs = {
    tracking: new ChangeHub(
      settings.clock,
      () => node.link.ready(),
      () => [node.server],
    ),
    channel: new ChangeHub(
      settings.clock,
      async () => void (await Promise.all([node.link.ready(), node.subscribed.ready()])),
      () => [node.subscriber],
    ),
  };
  const isPrimary = rolesOf(
    (args, deadlineMs) => node.server.exchange(args, deadlineMs),
    (error) => node.link.distrust(error),
  );
  const node: ServerNode = serverNode(open, settings, hubs, isPrimary, loadScripts, {
    isDataConnection,
    tracking: settings.protocol === 3 ? hubs.tracking : undefined,
    channel: hubs.channel,
  });
  return node;
}

/**
 * @param isPrimary whether all writes go to it still.
 * @param prepare makes connections for calls ready.
 * @param shown the hubs, where this server is all there is.
 */
export function serverNode(
  open: Open,
  settings: LinkSettings,
  hubs: ChangeHubs,
  isPrimary: (deadlineMs: number) => Promise<boolean>,
  prepare: (client: NodeClient) => Promise<void>,
  {
    isDataConnection = true,
    tracking: tracked,
    channel,
  }: {
    readonly isDataConnection?: boolean;
    readonly tracking?: ChangeHub | undefined;
    readonly channel?: ChangeHub;
  } = {},
): ServerNode {
  const { clock } = settings;
  const identityGuard = new ServerIdentityGuard(() => reportReplaced(hubs));
  const server = new ServerFeed(hubs.tracking, clock, tracking(), identityGuard, isDataConnection, isPrimary);
  const subscriber = new ServerFeed(hubs.channel, clock, subscription(), identityGuard, false, isPrimary);
  const subscribed = new SingleLink(
    (aborted) => open(aborted, (client) => subscriber.prepare(client, nothing)),
    settings,
    subscriber,
  );
  const link = new SingleLink(
    (aborted) => open(aborted, (client) => server.prepare(client, prepare)),
    settings,
    server,
    {
      tracking: tracked,
      channel,
      close: () => subscribed.close(),
    },
  );
  return { link, server, subscribed, subscriber, identityGuard };
}

/**
 * Asks for the role. One that changes is a reason for a new connection, on which it is found out who the server is. A
 * user who may not ask takes it for the primary.
 */
function rolesOf(
  exchange: (args: readonly string[], deadlineMs: number) => Promise<unknown>,
  distrust: (error: Error) => void,
): (deadlineMs: number) => Promise<boolean> {
  let isAsked = true;
  let was: boolean | undefined;
  return async (deadlineMs) => {
    if (!isAsked) return true;
    try {
      const [role] = (await exchange(["ROLE"], deadlineMs)) as readonly unknown[];
      const isPrimary = String(role) === "master";
      if (was !== undefined && was !== isPrimary)
        distrust(new Error(`it is ${isPrimary ? "the primary" : "a replica"} now`));
      was = isPrimary;
      return isPrimary;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      isAsked = false;
      return true;
    }
  };
}

const nothing = (): Promise<void> => Promise.resolve();
