import { BackendUnavailableError } from "@hotset/core";
import type { Origin } from "./faults.ts";
import type { RawClient } from "./lane.ts";
import { send, type LinkSettings } from "./link.ts";
import { loadScripts, openSession, placeOf, type Session, type SessionSettings } from "./session.ts";
import { SingleLink } from "./single-link.ts";
import { parseRedirection, parseSlots, SLOT_COUNT, slotOf, type NodeAddress, type SlotRange } from "./slots.ts";

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
/** A command that is sent on more often than this goes in circles. */
const MAX_REDIRECTIONS = 8;

/**
 * Finds a cluster through any seed, and sends commands to the nodes of their keys.
 *
 * One connection to each node, of the same making as to a single server, so deadlines, silence
 * and reconnection are those of {@link SingleLink}, node by node. To whoever opens it the cluster
 * is one connection: it is never lost, for nodes come and go.
 */
export async function openCluster(settings: ClusterSettings, aborted: AbortSignal): Promise<Session> {
  const topology = await askSeeds(settings, aborted);
  const router = new Router(settings, topology);
  return {
    client: router,
    onLost: () => undefined,
    destroy: () => router.close(),
  };
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

interface Node {
  readonly address: NodeAddress;
  readonly link: SingleLink;
}

class Router implements RawClient {
  readonly #settings: ClusterSettings;
  readonly #nodes = new Map<string, Node>();
  readonly #shards: (Shard | undefined)[] = Array.from({ length: SLOT_COUNT });
  readonly #closing = new AbortController();
  #refreshing: Promise<void> | undefined;
  #refreshedAt = -Infinity;
  /** Who answers the read that is being sent: PTTL and HMGET of one entry must be told by one node. */
  #reader: Node | undefined;
  #turn = 0;

  constructor(settings: ClusterSettings, topology: readonly SlotRange[]) {
    this.#settings = settings;
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
    return this.#forward(this.#settings.readFromReplicas ? this.#readerOf(shard, args[0] as string) : shard.primary, args, 0);
  }

  close(): void {
    this.#closing.abort();
    for (const { link } of this.#nodes.values()) link.close().catch(ignore);
  }

  /** A replica for a read, each in turn; the primary for all else, and until a replica can be reached. */
  #readerOf(shard: Shard, command: string): Node {
    if (command === "HMGET") return this.#reader ?? shard.primary;
    if (command !== "PTTL") return shard.primary;
    const readers = shard.replicas.filter(({ link }) => link.lane.hasRoom);
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
        if (error instanceof BackendUnavailableError || /^(?:CLUSTERDOWN|READONLY|MOVED|ASK) /.test(message)) this.#refresh();
        throw error;
      }
      const target = this.#node(redirection);
      if (redirection.kind === "ASK") return this.#forward(target, args, redirections + 1, true);
      this.#shards[redirection.slot] = { primary: target, replicas: [] };
      this.#refresh();
      return this.#forward(target, args, redirections + 1);
    }
  }

  /** The two must stay together: ASKING holds for the next command only. */
  #ask(node: Node, args: (string | Buffer)[]): Promise<unknown> {
    const { lane } = node.link;
    const call = lane.begin<unknown>(COMMAND);
    const start = (client: RawClient): void => {
      const asking = lane.begin<unknown>(COMMAND);
      asking.promise.catch(ignore);
      asking.exchange(client, ["ASKING"]);
      call.exchange(client, args);
    };
    if (lane.hasRoom) start(lane.client!);
    else node.link.admit(call, start);
    return call.promise;
  }

  #anyNode(): Node {
    const nodes = [...this.#nodes.values()];
    return nodes.find(({ link }) => link.lane.hasRoom) ?? nodes[0]!;
  }

  #node(address: NodeAddress): Node {
    const place = placeOf(address);
    let node = this.#nodes.get(place);
    if (node === undefined) {
      const { node: settings, link, readFromReplicas } = this.#settings;
      const prepare = async (client: RawClient): Promise<void> => {
        if (readFromReplicas) await client.sendCommand(["READONLY"]);
        await loadScripts(client);
      };
      node = { address, link: new SingleLink((aborted) => openSession(address, settings, aborted, prepare), link) };
      this.#nodes.set(place, node);
    }
    return node;
  }

  /** Looks at the topology behind the scenes, unless that was done just now. */
  #refresh(): void {
    const { clock } = this.#settings.link;
    if (this.#refreshing !== undefined || this.#closing.signal.aborted || clock.now() - this.#refreshedAt < REFRESH_MS) return;
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
      if (!node.link.lane.hasRoom) continue;
      try {
        return parseSlots(await send(node.link, COMMAND, ["CLUSTER", "SLOTS"]), node.address);
      } catch {
        // The next one may know.
      }
    }
    return askSeeds(this.#settings, this.#closing.signal);
  }

  #adopt(topology: readonly SlotRange[]): void {
    if (this.#closing.signal.aborted) return;
    const { readFromReplicas } = this.#settings;
    this.#shards.fill(undefined);
    const named = new Set<Node>();
    for (const { from, to, primary, replicas } of topology) {
      const shard: Shard = { primary: this.#node(primary), replicas: readFromReplicas ? replicas.map((replica) => this.#node(replica)) : [] };
      this.#shards.fill(shard, from, to + 1);
      for (const node of [shard.primary, ...shard.replicas]) named.add(node);
    }
    for (const [place, node] of this.#nodes) {
      if (named.has(node)) continue;
      this.#nodes.delete(place);
      node.link.close().catch(ignore);
    }
  }
}

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
