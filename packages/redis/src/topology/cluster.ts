import type { Parts } from "@hotset/core";
import { ChangeHub } from "../changes/change-hub.ts";
import { haveListeners, reportReplaced, type ChangeHubs } from "../changes/server-node.ts";
import { MAX_WAITING } from "../connection/command-queue.ts";
import type { ObservableLink } from "../connection/link.ts";
import type { Servers } from "../connection/servers.ts";
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
 * Each primary is a part, see `Parts`: it reports the changes of its own keys only, and its loss is that of these keys.
 * It also has its own room for commands in flight, so that a silent node takes none from the others.
 */
export function clusterLink(settings: ClusterSettings): { readonly link: ObservableLink; readonly servers: Servers } {
  const { clock } = settings.link;
  let router: ClusterRouter | undefined;
  const hubOver = (way: keyof ChangeHubs): ChangeHub =>
    new ChangeHub(
      clock,
      () => link.ready().then(() => router!.ready(way)),
      () => router?.sources(way) ?? [],
    );
  const hubs: ChangeHubs = { tracking: hubOver("tracking"), channel: hubOver("channel") };
  const open = async (aborted: AbortSignal): Promise<Session> => {
    const client = new ClusterRouter(settings, await topologyFromSeeds(settings, aborted), hubs, () =>
      link.nodeChanged(),
    );
    // Changes of the servers in between were not seen.
    if (router !== undefined) reportReplaced(hubs);
    router = client;
    return { address: "the cluster", client, onLost: () => undefined, destroy: () => void client.close() };
  };
  const link = new ClusterLink(open, settings, hubs, () => router);
  const connected = async (): Promise<ClusterRouter> => {
    await link.connect();
    return router!;
  };
  return {
    link,
    servers: {
      isCluster: true,
      primaries: async () => (await connected()).primaries(),
      openSession: async (request) => (await connected()).openSession(request),
      nodeOf: (key) => router?.nodeOf(key),
      refresh: () => router?.refresh(),
    },
  };
}

/** The link of a whole cluster. Its state is that of the nodes: `up` while some primary can be reached. */
class ClusterLink extends SingleLink {
  readonly parts: Parts;
  readonly readsFromReplicas: boolean;
  readonly #router: () => ClusterRouter | undefined;
  #wasReachable = false;

  constructor(
    open: (aborted: AbortSignal) => Promise<Session>,
    settings: ClusterSettings,
    hubs: ChangeHubs,
    router: () => ClusterRouter | undefined,
  ) {
    // The nodes bound the commands in flight, each its own; here they wait for the first topology.
    const { maxInFlight } = settings.link;
    super(open, { ...settings.link, maxInFlight: Infinity, maxWaiting: MAX_WAITING * maxInFlight }, undefined, {
      tracking: settings.node.protocol === 3 ? hubs.tracking : undefined,
      channel: hubs.channel,
      hasListeners: () => haveListeners(hubs),
    });
    this.readsFromReplicas = settings.readFromReplicas;
    this.parts = { names: () => router()?.parts() ?? [], of: (key) => router()?.partOf(key) ?? "" };
    this.#router = router;
  }

  override get state(): ObservableLink["state"] {
    if (super.state !== "up" || this.reachableParts.length !== 0) return super.state;
    return this.#wasReachable ? "down" : "connecting";
  }

  override async close(): Promise<void> {
    await super.close();
    await this.#router()?.close();
  }

  override get reachableParts(): readonly string[] {
    return this.#router()?.reachableParts ?? [];
  }

  nodeChanged(): void {
    this.#wasReachable ||= this.reachableParts.length !== 0;
    this.changed();
  }
}
