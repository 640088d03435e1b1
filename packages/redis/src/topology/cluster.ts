import { ChangeHub } from "../changes/change-hub.ts";
import { reportReplaced, type ChangeHubs, type ServerNode } from "../changes/server-node.ts";
import type { Link } from "../connection/link.ts";
import type { Session } from "../connection/session.ts";
import { SingleLink } from "../connection/single-link.ts";
import { ClusterRouter } from "./cluster-router.ts";
import { topologyFromSeeds, type ClusterSettings } from "./cluster-topology.ts";

/**
 * Finds a cluster through any seed, and sends commands to the nodes of their keys.
 *
 * Each node has a connection like that to a single server, so deadlines, silence and reconnection are those of
 * {@link SingleLink}, node by node. From outside the cluster is one connection, which is never lost: nodes come and go.
 *
 * Each node reports changes of its own keys only. So changes of every primary must be received: listeners are notified
 * of a loss when any primary is lost, or replaced by another.
 */
export function clusterLink(settings: ClusterSettings): Link {
  const { clock } = settings.link;
  let router: ClusterRouter | undefined;
  const whenReachable = async (links: (node: ServerNode) => readonly SingleLink[]): Promise<void> => {
    await link.ready();
    await router!.ready(links);
  };
  const hubs: ChangeHubs = {
    tracking: new ChangeHub(
      clock,
      () => whenReachable((node) => [node.link]),
      () => router?.sources((node) => node.feed) ?? [],
    ),
    channel: new ChangeHub(
      clock,
      () => whenReachable((node) => [node.link, node.channelLink]),
      () => router?.sources((node) => node.channelFeed) ?? [],
    ),
  };
  const open = async (aborted: AbortSignal): Promise<Session> => {
    const client = new ClusterRouter(settings, await topologyFromSeeds(settings, aborted), hubs);
    // Changes of the servers in between were not seen.
    if (router !== undefined) reportReplaced(hubs);
    router = client;
    return { client, onLost: () => undefined, destroy: () => client.close() };
  };
  const link = new SingleLink(open, settings.link, undefined, {
    tracking: settings.node.protocol === 3 ? hubs.tracking : undefined,
    channel: hubs.channel,
    close: () => Promise.resolve(),
  });
  return Object.assign(link, {
    readsFromReplicas: settings.readFromReplicas,
    primaries: () => router?.primaries() ?? [],
  });
}
