import { BackendUnavailableError } from "@hotset/core";
import { connectFault, isReply, isTemporary, type Origin } from "../primitives/faults.ts";
import { serverNode, reportReplaced, type ServerNode, type ChangeHubs } from "../changes/server-node.ts";
import { ChangeHub } from "../changes/change-hub.ts";
import type { RawClient } from "../connection/command-queue.ts";
import { closed, CONNECT, send, type Link, type LinkSettings } from "../connection/link.ts";
import { loadScripts, openSession, placeOf, type Session, type SessionSettings } from "../connection/session.ts";
import { SingleLink } from "../connection/single-link.ts";
import {
  hasHashTag,
  parseRedirection,
  parseSlots,
  SLOT_COUNT,
  slotOf,
  type NodeAddress,
  type SlotRange,
} from "../primitives/hash-slots.ts";
import { mayTrack } from "../changes/tracking.ts";

export interface ClusterSettings {
  /** Where to ask first. */
  readonly seeds: readonly NodeAddress[];
  /** Of every node. */
  readonly node: SessionSettings;
  readonly link: LinkSettings;
  /** Whether a read may be answered by a replica, which lags behind. */
  readonly readFromReplicas: boolean;
}

/** The least between two looks at the topology. */
const REFRESH_MS = 250;
/** The most between two of them while nodes are away and somebody waits. */
const MAX_REFRESH_MS = 2_000;
/** A command that is sent on more often than this goes in circles. */
const MAX_REDIRECTIONS = 8;
/** The longest between two looks for replicas. */
const MAX_LOOK_AGAIN_MS = 60_000;

/**
 * Finds a cluster through any seed, and sends commands to the nodes of their keys.
 *
 * One connection to each node, of the same making as to a single server, so deadlines, silence
 * and reconnection are those of {@link SingleLink}, node by node. To whoever opens it the cluster
 * is one connection: it is never lost, for nodes come and go.
 *
 * Each node tells of its own keys only. So every primary must be heard, and whoever listens is told
 * that it was lost when any one is lost, or when another takes its place.
 */
export function clusterLink(settings: ClusterSettings): Link {
  const { clock } = settings.link;
  let router: Router | undefined;
  const reach = async (links: (node: ServerNode) => readonly SingleLink[]): Promise<void> => {
    await link.ready();
    await router!.ready(links);
  };
  const hubs: ChangeHubs = {
    tracking: new ChangeHub(
      clock,
      () => reach((node) => [node.link]),
      () => router?.heard((node) => node.server) ?? [],
    ),
    channel: new ChangeHub(
      clock,
      () => reach((node) => [node.link, node.subscribed]),
      () => router?.heard((node) => node.subscriber) ?? [],
    ),
  };
  const open = async (aborted: AbortSignal): Promise<Session> => {
    const client = new Router(settings, await askSeeds(settings, aborted), hubs);
    // What became of the servers in between nobody has seen.
    if (router !== undefined) reportReplaced(hubs);
    router = client;
    return { client, onLost: () => undefined, destroy: () => client.close() };
  };
  const isTracking = settings.node.protocol === 3;
  const link = new SingleLink(open, settings.link, undefined, {
    tracking: isTracking ? hubs.tracking : undefined,
    channel: hubs.channel,
    // Each node passes on to all others what is published on one.
    isTrackedByAll: () => isTracking && router?.isTrackingRefused !== true,
    close: () => Promise.resolve(),
  });
  return Object.assign(link, { readsFromReplicas: settings.readFromReplicas });
}

async function askSeeds({ seeds, node }: ClusterSettings, aborted: AbortSignal): Promise<readonly SlotRange[]> {
  let trouble: unknown;
  const startedAt = node.clock.now();
  for (const [index, seed] of seeds.entries()) {
    const leftMs = node.connectTimeoutMs - (node.clock.now() - startedAt);
    if (leftMs <= 0) break;
    try {
      let reply: unknown;
      // A seed that is silent leaves time for the others.
      const connectTimeoutMs = Math.ceil(leftMs / (seeds.length - index));
      const session = await openSession(seed, { ...node, connectTimeoutMs }, aborted, async (client) => {
        reply = await client.sendCommand(["CLUSTER", "SLOTS"]);
      });
      session.destroy();
      return parseSlots(reply, seed);
    } catch (error) {
      trouble = error;
      // Other nodes refuse the same credentials and certificates.
      if (error instanceof BackendUnavailableError && !error.retryable) break;
    }
  }
  throw trouble;
}

interface Shard {
  readonly primary: Node;
  readonly replicas: readonly Node[];
}

interface Node extends ServerNode {
  readonly address: NodeAddress;
}

class Router implements RawClient {
  /** Whether a node has said that this user may not track. */
  isTrackingRefused = false;
  readonly #settings: ClusterSettings;
  readonly #hubs: ChangeHubs;
  readonly #nodes = new Map<string, Node>();
  readonly #shards: (Shard | undefined)[] = Array.from({ length: SLOT_COUNT });
  readonly #primaries = new Set<Node>();
  readonly #closing = new AbortController();
  #refreshing: Promise<void> | undefined;
  #refreshedAt = -Infinity;
  #isLooking = false;
  #lookAgainMs = 1_000;
  /** Who answers the read that is being sent: PTTL and HMGET of one entry must be told by one node. */
  #reader: Node | undefined;
  #turn = 0;
  readonly #probes = new WeakMap<Node, string>();

  constructor(settings: ClusterSettings, topology: readonly SlotRange[], hubs: ChangeHubs) {
    this.#settings = settings;
    this.#hubs = hubs;
    this.#adopt(topology);
    for (const { link } of this.#nodes.values()) link.connect().catch(ignore);
  }

  sendCommand(args: (string | Buffer)[]): Promise<unknown> {
    const key = keyOf(args);
    if (key === undefined) return this.#forward(this.#anyNode(), args, 0);
    const shard = this.#shards[slotOf(key)];
    if (shard === undefined) {
      this.#refresh();
      return Promise.reject(new Error("CLUSTERDOWN no node serves the slot of this key"));
    }
    return this.#forward(
      this.#settings.readFromReplicas ? this.#readerOf(shard, args[0] as string) : shard.primary,
      args,
      0,
    );
  }

  /** Resolves once all primaries can be reached over `links`, whichever they are by then. @throws {BackendUnavailableError} when trying again cannot help. */
  async ready(links: (node: ServerNode) => readonly SingleLink[]): Promise<void> {
    const { clock } = this.#settings.link;
    for (let waitMs = REFRESH_MS; !this.#closing.signal.aborted; waitMs = Math.min(2 * waitMs, MAX_REFRESH_MS)) {
      const away = [...this.#primaries].flatMap(links).filter(({ queue }) => queue.client === undefined);
      if (away.length === 0) return;
      let trouble: unknown;
      const arrived = Promise.all(away.map((link) => link.ready())).catch((error: unknown) => {
        trouble = error;
      });
      await Promise.race([arrived, new Promise<void>((resolve) => clock.schedule(resolve, waitMs))]);
      // One that is no primary any more was closed meanwhile.
      if (trouble !== undefined && [...this.#primaries].flatMap(links).some((link) => away.includes(link)))
        throw connectFault("the cluster", trouble);
      if (away.some(({ queue }) => queue.client === undefined)) this.#refresh();
    }
    throw closed(CONNECT);
  }

  /** All that must be heard, and all that are heard: a node that a slot is moving to as well. */
  heard<T extends { readonly isHearing: boolean }>(part: (node: ServerNode) => T): readonly T[] {
    return [...this.#nodes.values()].filter((node) => this.#primaries.has(node) || part(node).isHearing).map(part);
  }

  close(): void {
    this.#closing.abort();
    for (const { link } of this.#nodes.values()) link.close().catch(ignore);
  }

  /**
   * A replica for a read, each in turn; the primary for all else, and until a replica can be reached. Also where somebody
   * listens: a replica is behind what was heard, so what it gives could not be trusted.
   */
  #readerOf(shard: Shard, command: string): Node {
    if (this.#hubs.tracking.hasListeners || this.#hubs.channel.hasListeners) return shard.primary;
    if (command === "HMGET") return this.#reader ?? shard.primary;
    if (command !== "PTTL") return shard.primary;
    const readers = shard.replicas.filter(({ link }) => link.queue.hasRoom);
    this.#reader = readers.length === 0 ? shard.primary : readers[this.#turn++ % readers.length];
    return this.#reader!;
  }

  async #forward(node: Node, args: (string | Buffer)[], redirections: number, asking = false): Promise<unknown> {
    try {
      return await (asking ? this.#ask(node, args) : send(node.link, COMMAND, args));
    } catch (error) {
      const message = error instanceof Error ? error.message : "";
      const redirection = parseRedirection(message, node.address);
      if (redirection === undefined || redirections === MAX_REDIRECTIONS) {
        if (error instanceof BackendUnavailableError || /^(?:CLUSTERDOWN|READONLY|MOVED|ASK) /.test(message))
          this.#refresh();
        throw error;
      }
      const target = this.#node(redirection);
      if (redirection.kind === "ASK") return this.#forward(target, args, redirections + 1, true);
      if (!this.#primaries.has(target)) this.#promote([target]);
      this.#shards[redirection.slot] = { primary: target, replicas: [] };
      this.#refresh();
      return this.#forward(target, args, redirections + 1);
    }
  }

  /** The two must stay together: ASKING holds for the next command only. */
  #ask(node: Node, args: (string | Buffer)[]): Promise<unknown> {
    const { queue } = node.link;
    const call = queue.begin<unknown>(COMMAND);
    const start = (client: RawClient): void => {
      const asking = queue.begin<unknown>(COMMAND);
      asking.promise.catch(ignore);
      asking.exchange(client, ["ASKING"]);
      call.exchange(client, args);
    };
    if (queue.hasRoom) start(queue.client!);
    else node.link.admit(call, start);
    return call.promise;
  }

  #anyNode(): Node {
    const nodes = [...this.#nodes.values()];
    return nodes.find(({ link }) => link.queue.hasRoom) ?? nodes[0]!;
  }

  #node(address: NodeAddress): Node {
    const place = placeOf(address);
    let node = this.#nodes.get(place);
    if (node === undefined) {
      const { node: settings, link } = this.#settings;
      const made: Node = {
        address,
        ...serverNode(
          (aborted, prepare) => openSession(address, settings, aborted, prepare),
          link,
          this.#hubs,
          (deadlineMs) => this.#isPrimary(made, deadlineMs),
          (client) => this.#prepare(made, client),
        ),
      };
      node = made;
      this.#nodes.set(place, node);
    }
    return node;
  }

  async #prepare(node: Node, client: RawClient): Promise<void> {
    const {
      readFromReplicas,
      node: { protocol },
    } = this.#settings;
    // Not to a primary: it would go on to answer reads once it is none.
    const permitted = readFromReplicas && !this.#primaries.has(node) ? client.sendCommand(["READONLY"]) : undefined;
    // Those who do not listen have to know as well: it decides whether they tell what they change.
    const tracking =
      protocol === 3 && !this.#hubs.tracking.hasListeners ? mayTrack((args) => client.sendCommand([...args])) : true;
    const [, isAllowed] = await Promise.all([permitted, tracking, loadScripts(client)]);
    if (!isAllowed) this.isTrackingRefused = true;
  }

  /**
   * Whether `node` still serves what the topology says, found out by a key that nobody uses. One that became a replica
   * without being lost hears of changes later than they are acknowledged.
   */
  async #isPrimary(node: Node, deadlineMs: number): Promise<boolean> {
    const probe = this.#probeOf(node);
    if (probe === undefined) return true;
    try {
      await node.server.exchange(["PTTL", probe], deadlineMs);
      return true;
    } catch (error) {
      if (!isReply(error) || isTemporary(error)) throw error;
      if (!(error as Error).message.startsWith("MOVED ")) return true;
      this.#refresh();
      return false;
    }
  }

  /** A key on `node`, below what is listened to: the user may see no others. `undefined` where all of these lie elsewhere. */
  #probeOf(node: Node): string | undefined {
    const [topic] = [...this.#hubs.tracking.topics(), ...this.#hubs.channel.topics()];
    if (topic === undefined) return undefined;
    const isProbe = (key: string | undefined): key is string =>
      key !== undefined && key.startsWith(topic) && this.#shards[slotOf(key)]?.primary === node;
    const known = this.#probes.get(node);
    if (isProbe(known)) return known;
    for (let i = 0; i < (hasHashTag(topic) ? 1 : MAX_PROBES); i++) {
      const key = `${topic}${i.toString(36)}`;
      if (!isProbe(key)) continue;
      this.#probes.set(node, key);
      return key;
    }
    return undefined;
  }

  /** What was acknowledged elsewhere may be missing on them. */
  #promote(nodes: readonly Node[]): void {
    for (const node of nodes) {
      this.#primaries.add(node);
      // As a replica it was told to answer reads, and would go on to when it is one again.
      if (this.#settings.readFromReplicas) node.link.distrust(new Error("it is a primary now"));
    }
    const error = new Error(
      `${nodes.map(({ address }) => placeOf(address)).join(", ")} became the primary of some keys`,
    );
    reportReplaced(this.#hubs);
    for (const hub of [this.#hubs.tracking, this.#hubs.channel]) hub.lost(error);
  }

  /** Looks at the topology behind the scenes, unless that was done just now. */
  #refresh(): void {
    const { clock } = this.#settings.link;
    if (this.#refreshing !== undefined || this.#closing.signal.aborted || clock.now() - this.#refreshedAt < REFRESH_MS)
      return;
    this.#refreshing = this.#askAround()
      .then((topology) => this.#adopt(topology))
      .catch(ignore)
      .finally(() => {
        this.#refreshedAt = clock.now();
        this.#refreshing = undefined;
      });
  }

  /** Nodes that can be reached first; the seeds where none answers. */
  async #askAround(): Promise<readonly SlotRange[]> {
    for (const node of this.#nodes.values()) {
      if (!node.link.queue.hasRoom) continue;
      try {
        return parseSlots(await send(node.link, COMMAND, ["CLUSTER", "SLOTS"]), node.address);
      } catch {
        // The next one may know.
      }
    }
    return askSeeds(this.#settings, this.#closing.signal);
  }

  /** A replica that has replicated nothing yet is not named. Ever less often: there may be none. */
  #lookAgain(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#settings.link.clock.schedule(() => {
      this.#isLooking = false;
      this.#refresh();
    }, this.#lookAgainMs);
    this.#lookAgainMs = Math.min(2 * this.#lookAgainMs, MAX_LOOK_AGAIN_MS);
  }

  #adopt(topology: readonly SlotRange[]): void {
    if (this.#closing.signal.aborted) return;
    const { readFromReplicas } = this.#settings;
    if (readFromReplicas && topology.some(({ replicas }) => replicas.length === 0)) this.#lookAgain();
    this.#shards.fill(undefined);
    const named = new Set<Node>();
    const primaries = new Set<Node>();
    for (const { from, to, primary, replicas } of topology) {
      const shard: Shard = {
        primary: this.#node(primary),
        replicas: readFromReplicas ? replicas.map((replica) => this.#node(replica)) : [],
      };
      this.#shards.fill(shard, from, to + 1);
      primaries.add(shard.primary);
      // Nothing is sent to one that is not connected, so nothing else would connect it.
      for (const { link } of shard.replicas) if (link.queue.client === undefined) link.connect().catch(ignore);
      for (const node of [shard.primary, ...shard.replicas]) named.add(node);
    }
    const former = [...this.#primaries];
    for (const node of former) {
      if (primaries.has(node)) continue;
      this.#primaries.delete(node);
      if (readFromReplicas && named.has(node)) node.link.distrust(new Error("it is a replica now"));
    }
    const promoted = [...primaries].filter((node) => !this.#primaries.has(node));
    if (former.length === 0) for (const node of promoted) this.#primaries.add(node);
    else if (promoted.length !== 0) this.#promote(promoted);
    for (const [place, node] of this.#nodes) {
      if (named.has(node)) continue;
      this.#nodes.delete(place);
      node.link.close().catch(ignore);
    }
  }
}

/** How many keys are tried to find one on a given node: enough for one that serves a hundredth of all slots. */
const MAX_PROBES = 2_000;

/** The key that decides where a command goes. */
function keyOf(args: readonly (string | Buffer)[]): string | undefined {
  switch (args[0]) {
    case "PTTL":
    case "HMGET":
    case "HGET":
    case "HLEN":
    case "MGET":
      return args[1] as string;
    case "EVALSHA":
    case "EVAL":
      return args[3] as string;
    default:
      return undefined;
  }
}

const COMMAND: Origin = Object.freeze({ tier: "redis", operation: "command" });

const ignore = (): void => undefined;
