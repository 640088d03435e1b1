import type { LinkSettings } from "../connection/link.ts";
import type { NodeClient, Session } from "../connection/session.ts";
import { SingleLink, type ChangeReporting } from "../connection/single-link.ts";
import { isRefusal } from "../primitives/faults.ts";
import { ChangeHub } from "./change-hub.ts";
import { channelMode } from "./channel.ts";
import { ServerFeed } from "./server-feed.ts";
import { ServerIdentityGuard } from "./server-identity-guard.ts";
import { trackingMode } from "./tracking.ts";

/** Opens one connection, and makes it ready by `prepare`. `reached` is called once there is a socket. */
export type OpenSession = (
  aborted: AbortSignal,
  prepare: (client: NodeClient) => Promise<void>,
  reached?: () => void,
) => Promise<Session>;

/** One hub for changes that servers push, and one for changes that the clients which make them publish. */
export type ChangeHubs = Readonly<Record<"tracking" | "channel", ChangeHub>>;

/** One way in which the changes of one server are received. */
export interface Receiver {
  readonly feed: ServerFeed;
  /** Connections that must be up before changes are received, that of `link` among them. */
  readonly links: readonly SingleLink[];
}

/**
 * One server, with two connections. Commands go over `link`, and changes are pushed there by tracking. The channel is
 * subscribed to on another one, which is opened when it is needed.
 */
export interface ServerNode {
  readonly link: SingleLink;
  readonly tracking: Receiver;
  readonly channel: Receiver;
  readonly identityGuard: ServerIdentityGuard;
}

/** Reports to all listeners that another server answers. @param part for these keys alone. */
export function reportReplaced(hubs: ChangeHubs, part?: string): void {
  hubs.tracking.replaced(part);
  hubs.channel.replaced(part);
}

export const haveListeners = (hubs: ChangeHubs): boolean => hubs.tracking.hasListeners || hubs.channel.hasListeners;

export interface SubscribedLinkSettings extends LinkSettings {
  readonly protocol: 2 | 3;
  /** Makes data connections ready. */
  readonly prepare: (client: NodeClient) => Promise<void>;
  /** `changes`: commands of the cache go over another connection, apart from those that confirm. @default 'data' */
  readonly carries?: "data" | "changes";
}

/** A link to one server that stands alone, or that sentinels name as the primary. */
export function subscribedLink(
  open: OpenSession,
  settings: SubscribedLinkSettings,
): { readonly link: SingleLink; readonly identityGuard: ServerIdentityGuard } {
  const hubOver = (way: keyof ChangeHubs): ChangeHub =>
    new ChangeHub(
      settings.clock,
      async () => void (await Promise.all(node[way].links.map((link) => link.ready()))),
      () => [node[way].feed],
    );
  const hubs: ChangeHubs = { tracking: hubOver("tracking"), channel: hubOver("channel") };
  const node: ServerNode = serverNode({
    open,
    link: settings,
    hubs,
    isPrimary: primaryCheck(
      (args, deadlineMs) => node.tracking.feed.exchange(args, deadlineMs),
      (error) => node.link.distrust(error),
    ),
    prepare: settings.prepare,
    carries: settings.carries,
    reports: { tracking: settings.protocol === 3 ? hubs.tracking : undefined, channel: hubs.channel },
  });
  return node;
}

export interface ServerNodeSettings {
  readonly open: OpenSession;
  readonly link: LinkSettings;
  readonly hubs: ChangeHubs;
  /** Asks whether all writes still go to this server. */
  readonly isPrimary: (deadlineMs: number) => Promise<boolean>;
  /** Makes data connections ready. */
  readonly prepare: (client: NodeClient) => Promise<void>;
  readonly carries?: SubscribedLinkSettings["carries"];
  /** The part whose keys it serves. @default all */
  readonly part?: string;
  /** The hubs that the link offers to listeners. None where several servers report to one hub. */
  readonly reports?: Pick<ChangeReporting, "tracking" | "channel">;
}

export function serverNode(settings: ServerNodeSettings): ServerNode {
  const { open, link, hubs, isPrimary, prepare, carries = "data", part, reports } = settings;
  const { clock } = link;
  const identityGuard = new ServerIdentityGuard(() => reportReplaced(hubs, part));
  const isDataConnection = carries === "data";
  const mode = trackingMode(isDataConnection ? "keys-read" : "prefixes");
  const shared = { clock, identityGuard, part, isPrimary };
  const feed = new ServerFeed({ ...shared, hub: hubs.tracking, mode, isDataConnection });
  const channelFeed = new ServerFeed({ ...shared, hub: hubs.channel, mode: channelMode(), isDataConnection: false });
  const channelLink = new SingleLink(
    (aborted) => open(aborted, (client) => channelFeed.prepare(client)),
    // It is used by receiving.
    { ...link, reconnects: "always" },
    channelFeed,
  );
  const dataLink = new SingleLink(
    (aborted, reached) => open(aborted, (client) => feed.prepare(client, prepare), reached),
    link,
    feed,
    {
      tracking: reports?.tracking,
      channel: reports?.channel,
      hasListeners: () => haveListeners(hubs),
      close: () => channelLink.close(),
    },
  );
  return {
    link: dataLink,
    tracking: { feed, links: [dataLink] },
    channel: { feed: channelFeed, links: [dataLink, channelLink] },
    identityGuard,
  };
}

/**
 * Asks for the role. When it has changed, a new connection is made, on which the server is identified again. A user who
 * may not ask takes the server for the primary.
 */
function primaryCheck(
  exchange: (args: readonly string[], deadlineMs: number) => Promise<unknown>,
  distrust: (error: Error) => void,
): (deadlineMs: number) => Promise<boolean> {
  let mayAsk = true;
  let wasPrimary: boolean | undefined;
  return async (deadlineMs) => {
    if (!mayAsk) return true;
    try {
      const [role] = (await exchange(["ROLE"], deadlineMs)) as readonly unknown[];
      const isPrimary = String(role) === "master";
      if (wasPrimary !== undefined && wasPrimary !== isPrimary)
        distrust(new Error(`it is ${isPrimary ? "the primary" : "a replica"} now`));
      wasPrimary = isPrimary;
      return isPrimary;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      mayAsk = false;
      return true;
    }
  };
}
