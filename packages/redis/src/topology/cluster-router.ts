import { isDeepStrictEqual } from "node:util";
import { BackendUnavailableError } from "@hotset/core";
import type { ChangeSource } from "../changes/change-hub.ts";
import { haveListeners, reportReplaced, serverNode, type ChangeHubs, type ServerNode } from "../changes/server-node.ts";
import type { RawClient, SendOptions } from "../connection/command-queue.ts";
import { closed, CONNECT, send, sendBurst } from "../connection/link.ts";
import type { Primary, SessionRequest } from "../connection/servers.ts";
import { addressText, openSession, type Session } from "../connection/session.ts";
import { connectFault, isRedirection, isReply, isTemporary, isUnfit, type Origin } from "../primitives/faults.ts";
import { parseRedirection, SLOT_COUNT, slotOf, type NodeAddress, type SlotRange } from "../primitives/hash-slots.ts";
import { ignore } from "../primitives/ignore.ts";
import { AwaitedLinks } from "./awaited-links.ts";
import { asIs, isUnexecuted, withAsking, type Commands } from "./burst.ts";
import { readTopology, topologyFromSeeds, type ClusterSettings } from "./cluster-topology.ts";
import { keyBelow, keyOf } from "./command-keys.ts";
import { namedAddress } from "./named-address.ts";
import { Way, type Redirected } from "./way.ts";

/** The shortest time between two refreshes of the topology. */
const MIN_REFRESH_MS = 250;
/** The longest time between two of them while `ready` waits for a primary, or a read finds no replica in its shard. */
const MAX_REFRESH_MS = 2_000;
/** Each range of a topology lets heartbeats ask for it so much later: they read a hundred in a second at most. */
const EACH_RANGE_MS = 10;
/** How long `ready` waits for the other primaries once it has reached one. */
const ALL_READY_MS = 1_000;
/** A command that is redirected more often than this goes in circles. */
const MAX_REDIRECTIONS = 8;

interface Shard {
  readonly primary: Node;
  readonly replicas: readonly Node[];
}

interface Node extends ServerNode {
  readonly address: NodeAddress;
  /** The address of the node, which names the part of the keys that it serves while it is a primary. */
  readonly part: string;
}

/** The client of a cluster: sends each command to the node of its key, and follows redirections. */
export class ClusterRouter implements RawClient {
  readonly #settings: ClusterSettings;
  readonly #hubs: ChangeHubs;
  readonly #onChange: () => void;
  readonly #nodes = new Map<string, Node>();
  readonly #shards: (Shard | undefined)[] = Array.from({ length: SLOT_COUNT });
  readonly #primaries = new Set<Node>();
  #replicas = new Set<Node>();
  readonly #closing = new AbortController();
  #refreshing: Promise<void> | undefined;
  #refreshedAt: number;
  /** The last one. Empty when slots have moved since. */
  #topology: readonly SlotRange[] = [];
  /** Asked for it with heartbeats. */
  #answered: Node | undefined;
  /** The node for the read that is being sent: PTTL and HMGET of one entry must go to the same node. */
  #reader: Node | undefined;
  #readTurn = 0;
  /** Lost primaries whose replicas are asked for versions. */
  readonly #substituted = new WeakSet<Node>();
  readonly #awaited: AwaitedLinks;
  readonly #probes = new WeakMap<Node, string>();
  lastRoute: Way<Node> | undefined;

  /** @param onChange called when a node was connected or lost. */
  constructor(
    settings: ClusterSettings,
    topology: readonly SlotRange[],
    hubs: ChangeHubs,
    onChange: () => void = ignore,
  ) {
    this.#settings = settings;
    this.#awaited = new AwaitedLinks(settings.link.clock);
    this.#refreshedAt = settings.link.clock.now() - MIN_REFRESH_MS;
    this.#onChange = onChange;
    this.#hubs = hubs;
    this.#adopt(topology);
    for (const { link } of this.#primaries) link.connect().catch(ignore);
  }

  sendCommand(args: readonly (string | Buffer)[], options?: SendOptions): Promise<unknown> {
    // Commands of the cache come without options.
    if (options !== undefined) {
      const node = this.#primaryOf(options.key);
      return node === undefined ? this.#refuse() : this.#forward(this.#begin(node), args, options);
    }
    const key = keyOf(args);
    if (key === undefined) return this.#forward(this.#begin(withRoom(this.#nodes.values())!), args);
    const shard = this.#shards[slotOf(key)];
    if (shard === undefined) return this.#refuse();
    if (args[0] === "MGET") return this.#readVersions(shard, args);
    return this.#settings.readFromReplicas ? this.#read(shard, args) : this.#forward(this.#begin(shard.primary), args);
  }

  #begin(node: Node): Way<Node> {
    return (this.lastRoute = new Way(node));
  }

  #refuse(): Promise<never> {
    this.lastRoute = undefined;
    return Promise.reject(this.#unserved());
  }

  /**
   * A burst is redirected as a whole, and only if nothing of it was executed: one by one, a command of a transaction
   * would be executed outside of it, and commands would overtake one another.
   */
  async sendBurst(commands: Commands, options: SendOptions): Promise<readonly unknown[]> {
    const node = this.#primaryOf(options.key);
    if (node === undefined) return this.#refuse();
    const way = this.#begin(node);
    for (;;) {
      const { sent, resultsOf } = way.mode === "asking" ? withAsking(commands) : asIs(commands);
      const replies = await sendBurst(way.node.link, COMMAND, sent, options).catch((error: unknown) =>
        this.#goOnElsewhere(way, error, options.key),
      );
      if (replies === undefined) continue;
      const results = resultsOf(replies);
      const redirection = results.find(isRedirection);
      if (redirection === undefined) return results;
      const next = this.#redirected(redirection, way.node);
      if (next === undefined || way.redirections === MAX_REDIRECTIONS || !isUnexecuted(commands, results))
        return results;
      way.goOn(next);
    }
  }

  get reachableParts(): readonly string[] {
    return [...this.#primaries].filter(({ link }) => link.queue.client !== undefined).map(({ part }) => part);
  }

  primaries(): readonly Primary[] {
    return [...this.#primaries].map(({ address, link }) => ({ address: addressText(address), link }));
  }

  nodeOf(key: string | Buffer | undefined): string | undefined {
    if (key === undefined) return undefined;
    const node = this.#primaryOf(key);
    return node === undefined ? undefined : addressText(node.address);
  }

  /** Opens a separate connection to the primary of a key. */
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
    return key === undefined ? withRoom(this.#primaries) : this.#shards[slotOf(key)]?.primary;
  }

  /** No node serves the slot of a key. */
  #unserved(): Error {
    this.refresh();
    return new Error("CLUSTERDOWN no node serves the slot of this key");
  }

  /** The names of the primaries. */
  parts(): readonly string[] {
    return Array.from(this.#primaries, ({ part }) => part);
  }

  /** The primary of this key. */
  partOf(redisKey: string): string {
    return this.#shards[slotOf(redisKey)]?.primary.part ?? "";
  }

  /**
   * Resolves once the changes of all primaries, which may change meanwhile, can be received in this way; where those of
   * some cannot, after a while, once those of one can.
   *
   * @throws {BackendUnavailableError} when no primary can be reached, and trying again cannot help.
   */
  async ready(way: keyof ChangeHubs): Promise<void> {
    const { clock } = this.#settings.link;
    const isReached = (node: Node): boolean => node[way].links.every(({ queue }) => queue.client !== undefined);
    const giveUpAt = clock.now() + ALL_READY_MS;
    for (let waitMs = MIN_REFRESH_MS; !this.#closing.signal.aborted; waitMs = Math.min(2 * waitMs, MAX_REFRESH_MS)) {
      const primaries = [...this.#primaries];
      const unreachable = primaries.filter((node) => !isReached(node));
      if (unreachable.length === 0) return;
      if (unreachable.length < primaries.length && clock.now() >= giveUpAt) return;
      const failures = unreachable.flatMap((node) => node[way].links).flatMap((link) => this.#awaited.add(link) ?? []);
      if (failures.length !== 0 && unreachable.length === primaries.length)
        throw connectFault("the cluster", failures[0]);
      await this.#awaited.settledWithin(unreachable.length < primaries.length ? ALL_READY_MS / 4 : waitMs);
      this.refresh();
    }
    throw closed(CONNECT);
  }

  /**
   * The feeds of all primaries, and those that are subscribed already, such as of a node that a slot is moving to.
   * Asked for with each heartbeat: primaries that cannot be reached are looked for again.
   */
  sources(way: keyof ChangeHubs): readonly ChangeSource[] {
    for (const link of [...this.#primaries].flatMap((node) => node[way].links)) {
      if (link.queue.client !== undefined) continue;
      this.#awaited.add(link);
      this.refresh(ALL_READY_MS);
    }
    return [...this.#nodes.values()]
      .filter((node) => this.#primaries.has(node) || (!this.#replicas.has(node) && node[way].feed.isSubscribed))
      .map((node) => node[way].feed);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(Array.from(this.#nodes.values(), ({ link }) => link.close()));
  }

  /**
   * The versions of tags and namespaces decide about the entries of all nodes. So while their primary is lost, its
   * replicas are asked: one of them is about to take over, and has what it will have then. It may lack changes that the
   * primary acknowledged: those of this process are made again, as after a failover.
   *
   * A primary that is only slow is waited for: it keeps reporting changes, and reports none of what it has not read.
   */
  async #readVersions({ primary, replicas }: Shard, args: readonly (string | Buffer)[]): Promise<unknown> {
    if (primary.link.state !== "down" || replicas.length === 0) {
      this.#substituted.delete(primary);
      return this.#forward(this.#begin(primary), args);
    }
    this.refresh();
    if (!this.#substituted.has(primary)) {
      this.#substituted.add(primary);
      reportReplaced(this.#hubs, primary.part);
    }
    let lastError: unknown;
    const way = this.#begin(replicas[0]!);
    for (const replica of replicas) {
      way.node = replica;
      try {
        return await send(replica.link, COMMAND, args);
      } catch (error) {
        lastError = error;
      }
    }
    throw lastError;
  }

  /** A command that replicas may answer, if it is a read. One that cannot answer now is passed over. */
  async #read(shard: Shard, args: readonly (string | Buffer)[]): Promise<unknown> {
    const reader = this.#readerOf(shard, args[0] as string);
    const way = this.#begin(reader);
    try {
      return await this.#forward(way, args);
    } catch (error) {
      if (reader === shard.primary || !isUnfit(error)) throw error;
      way.goOn({ node: shard.primary, mode: "plain" });
      return this.#forward(way, args);
    }
  }

  /** A replica for a read, each in turn; the primary for all other commands, and until a replica can be reached. */
  #readerOf(shard: Shard, command: string): Node {
    if (command === "HMGET") return this.#reader ?? shard.primary;
    if (command !== "PTTL") return shard.primary;
    // One that has replicated nothing yet is not listed.
    if (shard.replicas.length === 0) this.refresh(MAX_REFRESH_MS);
    const readers = shard.replicas.filter(({ link }) => link.queue.hasRoom);
    this.#reader = readers.length === 0 ? shard.primary : readers[this.#readTurn++ % readers.length];
    return this.#reader!;
  }

  async #forward(way: Way<Node>, args: readonly (string | Buffer)[], options?: SendOptions): Promise<unknown> {
    const { node, mode } = way;
    try {
      return await send(node.link, COMMAND, args, options, mode === "asking");
    } catch (error) {
      const next = way.redirections === MAX_REDIRECTIONS ? undefined : this.#redirected(error, node);
      if (next !== undefined) {
        way.goOn(next);
        return this.#forward(way, args, options);
      }
      const message = error instanceof Error ? error.message : "";
      if (error instanceof BackendUnavailableError || /^(?:CLUSTERDOWN|READONLY|MOVED|ASK) /.test(message))
        this.refresh();
      this.#goOnElsewhere(way, error, options === undefined ? keyOf(args) : options.key);
      return this.#forward(way, args, options);
    }
  }

  /**
   * The link of a node that the topology does not list any more is closed, such as of one that no slot has been moved
   * to yet. A command that waited for it was not sent: it goes to the primary of its key.
   *
   * @throws {BackendUnavailableError} `error`, where that is not so.
   */
  #goOnElsewhere(way: Way<Node>, error: unknown, key: string | Buffer | undefined): undefined {
    const { link, part } = way.node;
    const isUnsent = error instanceof BackendUnavailableError && !error.maybeExecuted;
    if (!isUnsent || link.state !== "closed" || this.#closing.signal.aborted) throw error;
    const primary = this.#primaryOf(key);
    if (primary === undefined || way.redirections >= MAX_REDIRECTIONS)
      throw new BackendUnavailableError(`the cluster has no node ${part} any more`, { maybeExecuted: false });
    way.goOn({ node: primary, mode: "plain" });
  }

  /** Where `node` redirects to. After MOVED later commands go there immediately. */
  #redirected(error: unknown, node: Node): Redirected<Node> | undefined {
    const redirection = parseRedirection(error instanceof Error ? error.message : "", node.address);
    if (redirection === undefined) return undefined;
    const target = this.#node(namedAddress(redirection, redirection.kind, this.#settings.resolveAddress));
    const former = this.#shards[redirection.slot]?.primary ?? node;
    if (redirection.kind === "ASK") {
      this.#hubs.tracking.moved(former.part, target.part);
      return { node: target, mode: "asking" };
    }
    this.#shards[redirection.slot] = { primary: target, replicas: [] };
    const isKnown = this.#primaries.has(target);
    if (!isKnown) {
      this.#lostPart(former);
      this.#promote([target]);
    } else if (former !== target) this.#slotsLeft(former, [redirection.slot]);
    // Others may have moved with it. Heartbeats ask: not in all processes together.
    this.#topology = [];
    this.#answered = undefined;
    if (!isKnown || !haveListeners(this.#hubs)) this.refresh();
    return { node: target, mode: "plain" };
  }

  #node(address: NodeAddress): Node {
    const name = addressText(address);
    let node = this.#nodes.get(name);
    if (node === undefined) {
      const { node: settings, link } = this.#settings;
      const made: Node = {
        address,
        part: name,
        ...serverNode({
          part: name,
          open: (aborted, prepare, reached) => openSession(address, settings, aborted, prepare, reached),
          link: { ...link, address: name },
          hubs: this.#hubs,
          isPrimary: (deadlineMs) => this.#isPrimary(made, deadlineMs),
          prepare: (client) => this.#prepare(made, client),
        }),
      };
      made.link.onChange(this.#onChange);
      node = made;
      this.#nodes.set(name, node);
    }
    return node;
  }

  async #prepare(node: Node, client: RawClient): Promise<void> {
    // Not on a primary: it would keep answering reads after it became a replica.
    const readOnly = this.#replicas.has(node) ? client.sendCommand(["READONLY"]) : undefined;
    await Promise.all([readOnly, this.#settings.prepare(client)]);
  }

  /**
   * Whether `node` still serves the slots that the topology says, probed with an unused key. A node that became a
   * replica without losing its connection reports changes later than they are acknowledged.
   */
  async #isPrimary(node: Node, deadlineMs: number): Promise<boolean> {
    // Not each node pushes the keys of a slot that it gives away, and who only hits sees no `MOVED`.
    this.refresh(Math.max(deadlineMs, this.#topology.length * EACH_RANGE_MS), "of the same node");
    const probe = this.#probeOf(node);
    if (probe === undefined) return true;
    try {
      await node.tracking.feed.exchange(["PTTL", probe], deadlineMs);
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
    const found = keyBelow(topic, isProbe);
    if (found !== undefined) this.#probes.set(node, found);
    return found;
  }

  /** Writes acknowledged by the former primaries may be missing on `nodes`. */
  #promote(nodes: readonly Node[]): void {
    for (const node of nodes) {
      this.#primaries.add(node);
      // As a replica it was sent READONLY, which would apply again when it becomes a replica again. It is removed
      // first: the next connection may open before the topology is known.
      if (this.#replicas.delete(node)) node.link.distrust(new Error("it is a primary now"));
      reportReplaced(this.#hubs, node.part);
    }
  }

  /** Others may have taken over keys of `node`: it reports their changes no more. */
  #lostPart({ part }: Node): void {
    const error = new BackendUnavailableError(`${part} is not the primary of some keys any more`);
    for (const hub of Object.values(this.#hubs)) hub.lost(error, part);
  }

  /** Copies of their keys are trusted by the word of the former primary. */
  #slotsLeft({ part }: Node, slots: readonly number[]): void {
    const left = new Set(slots);
    for (const hub of Object.values(this.#hubs)) hub.everythingChanged(part, (key) => left.has(slotOf(key)));
  }

  /**
   * Refreshes the topology in the background, unless that was done just now. Heartbeats ask the node that answered
   * last: others may see the cluster in another way for long.
   */
  refresh(notWithinMs: number = MIN_REFRESH_MS, asks?: "of the same node"): void {
    const { clock } = this.#settings.link;
    if (this.#refreshing !== undefined || this.#closing.signal.aborted || clock.now() - this.#refreshedAt < notWithinMs)
      return;
    if (asks === undefined) this.#answered = undefined;
    const known = this.#topology;
    this.#refreshing = this.#fetchTopology()
      .then((topology) => this.#adopt(topology, known))
      .catch(ignore)
      .finally(() => {
        this.#refreshedAt = clock.now();
        this.#refreshing = undefined;
      });
  }

  /** Asks the nodes that can be reached, from any on: not all processes the same; then, if none answers, the seeds. */
  async #fetchTopology(): Promise<readonly SlotRange[]> {
    const nodes = [...this.#nodes.values()];
    const first = Math.floor(this.#settings.link.random() * nodes.length);
    for (const node of new Set([this.#answered, ...nodes.slice(first), ...nodes.slice(0, first)])) {
      if (!node?.link.queue.hasRoom) continue;
      try {
        const reply = await send(node.link, COMMAND, ["CLUSTER", "SLOTS"]);
        this.#answered = node;
        return readTopology(reply, node.address, this.#settings);
      } catch {
        // The next node may answer.
      }
    }
    return topologyFromSeeds(this.#settings, this.#closing.signal);
  }

  /** @param known the one before it was asked for. */
  #adopt(topology: readonly SlotRange[], known = this.#topology): void {
    if (this.#closing.signal.aborted) return;
    // Nodes that slots are moving to are not named yet.
    if (!isDeepStrictEqual(topology, this.#topology)) this.#rearrange(topology);
    this.#topology = known === this.#topology ? topology : [];
    // No command is sent to a replica that is not connected, so no command would connect it.
    if (this.#settings.readFromReplicas) for (const { link } of this.#replicas) this.#awaited.add(link);
  }

  #rearrange(topology: readonly SlotRange[]): void {
    const before = [...this.#shards];
    this.#shards.fill(undefined);
    const named = new Set<Node>();
    const following = new Set<Node>();
    const primaries = new Set<Node>();
    for (const { from, to, primary, replicas } of topology) {
      const shard: Shard = { primary: this.#node(primary), replicas: replicas.map((replica) => this.#node(replica)) };
      this.#shards.fill(shard, from, to + 1);
      primaries.add(shard.primary);
      for (const node of [shard.primary, ...shard.replicas]) named.add(node);
      for (const node of shard.replicas) following.add(node);
    }
    const former = [...this.#primaries];
    for (const node of former) {
      if (primaries.has(node)) continue;
      this.#primaries.delete(node);
      this.#lostPart(node);
      // Its connection stays: commands in flight there are redirected.
      if (named.has(node) && node.link.state !== "idle") send(node.link, COMMAND, ["READONLY"]).catch(ignore);
    }
    const moved = [...before.keys()].filter((slot) => before[slot]?.primary !== this.#shards[slot]?.primary);
    for (const [node, slots] of Map.groupBy(moved, (slot) => before[slot]?.primary))
      if (node !== undefined) this.#slotsLeft(node, slots);
    const promoted = [...primaries].filter((node) => !this.#primaries.has(node));
    if (former.length === 0) for (const node of promoted) this.#primaries.add(node);
    else this.#promote(promoted);
    this.#replicas = following;
    for (const [name, node] of this.#nodes) {
      if (named.has(node)) continue;
      this.#nodes.delete(name);
      this.#awaited.forget(node.channel.links); // both of its connections
      node.link.close().catch(ignore);
    }
  }
}

/** One that takes calls now, if there is one. */
function withRoom(among: Iterable<Node>): Node | undefined {
  const nodes = [...among];
  return nodes.find(({ link }) => link.queue.hasRoom) ?? nodes[0];
}

const COMMAND: Origin = Object.freeze({ tier: "redis", operation: "command" });
