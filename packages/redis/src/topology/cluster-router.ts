import { BackendUnavailableError } from "@hotset/core";
import type { ChangeSource } from "../changes/change-hub.ts";
import type { ServerFeed } from "../changes/server-feed.ts";
import { reportReplaced, serverNode, type ChangeHubs, type ServerNode } from "../changes/server-node.ts";
import type { RawClient, SendOptions } from "../connection/command-queue.ts";
import { closed, CONNECT, send, sendBurst } from "../connection/link.ts";
import type { Primary, SessionRequest } from "../connection/servers.ts";
import { addressText, openSession, type Session } from "../connection/session.ts";
import type { SingleLink } from "../connection/single-link.ts";
import { connectFault, isRedirection, isReply, isTemporary, type Origin } from "../primitives/faults.ts";
import {
  hasHashTag,
  parseRedirection,
  SLOT_COUNT,
  slotOf,
  type NodeAddress,
  type SlotRange,
} from "../primitives/hash-slots.ts";
import { asIs, isUnexecuted, withAsking, type Commands } from "./burst.ts";
import { readTopology, topologyFromSeeds, type ClusterSettings } from "./cluster-topology.ts";
import { namedAddress } from "./named-address.ts";

/** The shortest time between two refreshes of the topology. */
const MIN_REFRESH_MS = 250;
/** The longest time between two of them while primaries are unreachable and `ready` waits for them. */
const MAX_REFRESH_MS = 2_000;
/** A command that is redirected more often than this goes in circles. */
const MAX_REDIRECTIONS = 8;
/** The longest time between two refreshes in search of replicas. */
const MAX_REFRESH_LATER_MS = 60_000;

interface Shard {
  readonly primary: Node;
  readonly replicas: readonly Node[];
}

interface Node extends ServerNode {
  readonly address: NodeAddress;
}

/** Where a command goes next. */
interface Redirected {
  readonly node: Node;
  /** `asking`: this once, since the slot is being moved there. */
  readonly mode: "plain" | "asking";
}

/** The client of a cluster: sends each command to the node of its key, and follows redirections. */
export class ClusterRouter implements RawClient {
  readonly #settings: ClusterSettings;
  readonly #hubs: ChangeHubs;
  readonly #onChange: () => void;
  readonly #nodes = new Map<string, Node>();
  readonly #shards: (Shard | undefined)[] = Array.from({ length: SLOT_COUNT });
  readonly #primaries = new Set<Node>();
  readonly #closing = new AbortController();
  #refreshing: Promise<void> | undefined;
  #refreshedAt = -Infinity;
  #isRefreshScheduled = false;
  #refreshDelayMs = 1_000;
  /** The node for the read that is being sent: PTTL and HMGET of one entry must go to the same node. */
  #reader: Node | undefined;
  #readTurn = 0;
  readonly #probes = new WeakMap<Node, string>();

  /** @param onChange called when a node was connected or lost. */
  constructor(
    settings: ClusterSettings,
    topology: readonly SlotRange[],
    hubs: ChangeHubs,
    onChange: () => void = ignore,
  ) {
    this.#settings = settings;
    this.#onChange = onChange;
    this.#hubs = hubs;
    this.#adopt(topology);
    for (const { link } of this.#nodes.values()) link.connect().catch(ignore);
  }

  sendCommand(args: readonly (string | Buffer)[], options?: SendOptions): Promise<unknown> {
    // Commands of the cache come without options.
    if (options !== undefined) {
      const node = this.#primaryOf(options.key);
      return node === undefined ? Promise.reject(this.#unserved()) : this.#forward(node, args, 0, "plain", options);
    }
    const key = keyOf(args);
    if (key === undefined) return this.#forward(this.#anyNode(), args, 0);
    const shard = this.#shards[slotOf(key)];
    if (shard === undefined) return Promise.reject(this.#unserved());
    return this.#forward(
      this.#settings.readFromReplicas ? this.#readerOf(shard, args[0] as string) : shard.primary,
      args,
      0,
    );
  }

  /**
   * A burst is redirected as a whole, and only if nothing of it was executed: one by one, a command of a transaction
   * would be executed outside of it, and commands would overtake one another.
   */
  async sendBurst(commands: Commands, options: SendOptions): Promise<readonly unknown[]> {
    let node = this.#primaryOf(options.key);
    if (node === undefined) throw this.#unserved();
    let mode: Redirected["mode"] = "plain";
    for (let redirections = 0; ; redirections++) {
      const { sent, resultsOf } = mode === "asking" ? withAsking(commands) : asIs(commands);
      const results = resultsOf(await sendBurst(node.link, COMMAND, sent, options));
      const redirection = results.find(isRedirection);
      if (redirection === undefined) return results;
      const next = this.#redirected(redirection, node);
      if (next === undefined || redirections === MAX_REDIRECTIONS || !isUnexecuted(commands, results)) return results;
      ({ node, mode } = next);
    }
  }

  /** Whether some primary can be reached. */
  get isReachable(): boolean {
    return [...this.#primaries].some(({ link }) => link.queue.client !== undefined);
  }

  primaries(): readonly Primary[] {
    return [...this.#primaries].map(({ address, link }) => ({ address: addressText(address), link }));
  }

  nodeOf(key: string | Buffer | undefined): string | undefined {
    if (key === undefined) return undefined;
    const node = this.#primaryOf(key);
    return node && addressText(node.address);
  }

  /** Opens a connection of its own to the primary of a key. */
  async openSession({ key, aborted, prepare }: SessionRequest): Promise<Session> {
    const node = this.#primaryOf(key);
    try {
      if (node === undefined) throw connectFault("the cluster", this.#unserved());
      return await openSession(node.address, this.#settings.node, aborted, prepare);
    } catch (error) {
      this.refresh();
      throw error;
    }
  }

  /** For commands without a key: a primary that can be reached, if there is one. */
  #primaryOf(key: string | Buffer | undefined): Node | undefined {
    if (key !== undefined) return this.#shards[slotOf(key)]?.primary;
    const primaries = [...this.#primaries];
    return primaries.find(({ link }) => link.queue.hasRoom) ?? primaries[0];
  }

  /** No node serves the slot of a key. */
  #unserved(): Error {
    this.refresh();
    return new Error("CLUSTERDOWN no node serves the slot of this key");
  }

  /**
   * Resolves once all primaries, which may change meanwhile, can be reached over `links`.
   *
   * @throws {BackendUnavailableError} when trying again cannot help.
   */
  async ready(links: (node: ServerNode) => readonly SingleLink[]): Promise<void> {
    const { clock } = this.#settings.link;
    for (let waitMs = MIN_REFRESH_MS; !this.#closing.signal.aborted; waitMs = Math.min(2 * waitMs, MAX_REFRESH_MS)) {
      const unreachable = [...this.#primaries].flatMap(links).filter(({ queue }) => queue.client === undefined);
      if (unreachable.length === 0) return;
      let lastError: unknown;
      const arrived = Promise.all(unreachable.map((link) => link.ready())).catch((error: unknown) => {
        lastError = error;
      });
      await Promise.race([arrived, new Promise<void>((resolve) => clock.schedule(resolve, waitMs))]);
      // A node that is not a primary any more was closed meanwhile.
      if (lastError !== undefined && [...this.#primaries].flatMap(links).some((link) => unreachable.includes(link)))
        throw connectFault("the cluster", lastError);
      if (unreachable.some(({ queue }) => queue.client === undefined)) this.refresh();
    }
    throw closed(CONNECT);
  }

  /** The feeds of all primaries, and those that are subscribed already, such as of a node that a slot is moving to. */
  sources(feedOf: (node: ServerNode) => ServerFeed): readonly ChangeSource[] {
    return [...this.#nodes.values()]
      .filter((node) => this.#primaries.has(node) || feedOf(node).isSubscribed)
      .map(feedOf);
  }

  close(): void {
    this.#closing.abort();
    for (const { link } of this.#nodes.values()) link.close().catch(ignore);
  }

  /**
   * A replica for a read, each in turn; the primary for all other commands, and until a replica can be reached. Reads
   * go to the primary also while there are listeners: a replica lags behind the changes received, so its answers could
   * not be trusted.
   */
  #readerOf(shard: Shard, command: string): Node {
    if (this.#hubs.tracking.hasListeners || this.#hubs.channel.hasListeners) return shard.primary;
    if (command === "HMGET") return this.#reader ?? shard.primary;
    if (command !== "PTTL") return shard.primary;
    const readers = shard.replicas.filter(({ link }) => link.queue.hasRoom);
    this.#reader = readers.length === 0 ? shard.primary : readers[this.#readTurn++ % readers.length];
    return this.#reader!;
  }

  async #forward(
    node: Node,
    args: readonly (string | Buffer)[],
    redirections: number,
    mode: Redirected["mode"] = "plain",
    options?: SendOptions,
  ): Promise<unknown> {
    try {
      return await (mode === "asking"
        ? this.#sendAsking(node, args, options)
        : send(node.link, COMMAND, args, options));
    } catch (error) {
      const next = redirections === MAX_REDIRECTIONS ? undefined : this.#redirected(error, node);
      if (next !== undefined) return this.#forward(next.node, args, redirections + 1, next.mode, options);
      const message = error instanceof Error ? error.message : "";
      if (error instanceof BackendUnavailableError || /^(?:CLUSTERDOWN|READONLY|MOVED|ASK) /.test(message))
        this.refresh();
      throw error;
    }
  }

  /** Where `node` redirects to. After MOVED later commands go there at once. */
  #redirected(error: unknown, node: Node): Redirected | undefined {
    const redirection = parseRedirection(error instanceof Error ? error.message : "", node.address);
    if (redirection === undefined) return undefined;
    const target = this.#node(namedAddress(redirection, redirection.kind, this.#settings.resolveAddress));
    if (redirection.kind === "ASK") return { node: target, mode: "asking" };
    if (!this.#primaries.has(target)) this.#promote([target]);
    this.#shards[redirection.slot] = { primary: target, replicas: [] };
    this.refresh();
    return { node: target, mode: "plain" };
  }

  /** The two commands must stay together: ASKING applies to the next command only. */
  #sendAsking(node: Node, args: readonly (string | Buffer)[], options?: SendOptions): Promise<unknown> {
    const { queue } = node.link;
    const command = queue.begin<unknown>(COMMAND, options?.deadlineMs);
    const start = (client: RawClient): void => {
      const asking = queue.begin<unknown>(COMMAND);
      asking.promise.catch(ignore);
      asking.exchange(client, ["ASKING"]);
      command.exchange(client, args, options);
    };
    if (queue.hasRoom) start(queue.client!);
    else node.link.admit(command, start);
    return command.promise;
  }

  #anyNode(): Node {
    const nodes = [...this.#nodes.values()];
    return nodes.find(({ link }) => link.queue.hasRoom) ?? nodes[0]!;
  }

  #node(address: NodeAddress): Node {
    const name = addressText(address);
    let node = this.#nodes.get(name);
    if (node === undefined) {
      const { node: settings, link } = this.#settings;
      const made: Node = {
        address,
        ...serverNode({
          open: (aborted, prepare) => openSession(address, settings, aborted, prepare),
          link,
          hubs: this.#hubs,
          isPrimary: (deadlineMs) => this.#isPrimary(made, deadlineMs),
          prepare: (client) => this.#prepare(made, client),
          carries: "data",
        }),
      };
      made.link.onChange(this.#onChange);
      node = made;
      this.#nodes.set(name, node);
    }
    return node;
  }

  async #prepare(node: Node, client: RawClient): Promise<void> {
    // Not on a primary: it would go on answering reads after it became a replica.
    const permitted =
      this.#settings.readFromReplicas && !this.#primaries.has(node) ? client.sendCommand(["READONLY"]) : undefined;
    await Promise.all([permitted, this.#settings.prepare(client)]);
  }

  /**
   * Whether `node` still serves the slots that the topology says, probed with an unused key. A node that became a
   * replica without losing its connection reports changes later than they are acknowledged.
   */
  async #isPrimary(node: Node, deadlineMs: number): Promise<boolean> {
    const probe = this.#probeOf(node);
    if (probe === undefined) return true;
    try {
      await node.feed.exchange(["PTTL", probe], deadlineMs);
      return true;
    } catch (error) {
      if (!isReply(error) || isTemporary(error)) throw error;
      if (!(error as Error).message.startsWith("MOVED ")) return true;
      this.refresh();
      return false;
    }
  }

  /**
   * A key on `node`, below a topic of the listeners: the user may have no access to others. `undefined` where all of
   * them lie on other nodes.
   */
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

  /** Writes acknowledged by the former primaries may be missing on `nodes`. */
  #promote(nodes: readonly Node[]): void {
    for (const node of nodes) {
      this.#primaries.add(node);
      // As a replica it was sent READONLY, which would apply again when it becomes a replica again.
      if (this.#settings.readFromReplicas) node.link.distrust(new Error("it is a primary now"));
    }
    const error = new Error(
      `${nodes.map(({ address }) => addressText(address)).join(", ")} became the primary of some keys`,
    );
    reportReplaced(this.#hubs);
    for (const hub of [this.#hubs.tracking, this.#hubs.channel]) hub.lost(error);
  }

  /** Refreshes the topology in the background, unless that was done just now. */
  refresh(): void {
    const { clock } = this.#settings.link;
    if (
      this.#refreshing !== undefined ||
      this.#closing.signal.aborted ||
      clock.now() - this.#refreshedAt < MIN_REFRESH_MS
    )
      return;
    this.#refreshing = this.#fetchTopology()
      .then((topology) => this.#adopt(topology))
      .catch(ignore)
      .finally(() => {
        this.#refreshedAt = clock.now();
        this.#refreshing = undefined;
      });
  }

  /** Asks the nodes that can be reached; then, if none answers, the seeds. */
  async #fetchTopology(): Promise<readonly SlotRange[]> {
    for (const node of this.#nodes.values()) {
      if (!node.link.queue.hasRoom) continue;
      try {
        return readTopology(await send(node.link, COMMAND, ["CLUSTER", "SLOTS"]), node.address, this.#settings);
      } catch {
        // The next node may answer.
      }
    }
    return topologyFromSeeds(this.#settings, this.#closing.signal);
  }

  /** A replica that has replicated nothing yet is not listed. Each time after a longer wait: there may be none. */
  #refreshLater(): void {
    if (this.#isRefreshScheduled) return;
    this.#isRefreshScheduled = true;
    this.#settings.link.clock.schedule(() => {
      this.#isRefreshScheduled = false;
      this.refresh();
    }, this.#refreshDelayMs);
    this.#refreshDelayMs = Math.min(2 * this.#refreshDelayMs, MAX_REFRESH_LATER_MS);
  }

  #adopt(topology: readonly SlotRange[]): void {
    if (this.#closing.signal.aborted) return;
    const { readFromReplicas } = this.#settings;
    if (readFromReplicas && topology.some(({ replicas }) => replicas.length === 0)) this.#refreshLater();
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
      // No command is sent to a replica that is not connected, so no command would connect it.
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
    for (const [name, node] of this.#nodes) {
      if (named.has(node)) continue;
      this.#nodes.delete(name);
      node.link.close().catch(ignore);
    }
  }
}

/** How many keys are tried to find one on a given node: enough for a node that serves a hundredth of all slots. */
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
