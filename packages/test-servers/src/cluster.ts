import { freePort } from "./port.ts";
import { startProxy, type FaultProxy } from "./proxy.ts";
import { launchRedis, quoted, type OwnRedis } from "./redis.ts";
import { infoFields } from "./resp-client.ts";
import { until } from "./until.ts";

/** One node, with all methods of an own server: `kill`, `start`, `pause`, `resume`. */
export interface ClusterNode extends OwnRedis {
  /** Node id in CLUSTER NODES. */
  readonly id: string;
  /** The proxy in front of the node, if the cluster was started with `proxied`. */
  readonly proxy: FaultProxy | undefined;
}

export interface TestClusterOptions {
  /** @default 3 */
  readonly masters?: number;
  /** Replicas of each master. @default 1 */
  readonly replicas?: number;
  /** How long a node may be silent before it counts as failed. @default 2000 */
  readonly nodeTimeoutMs?: number;
  /** Password of all nodes, also between the nodes. */
  readonly password?: string;
  /** Lines as in redis.conf, for every node. */
  readonly config?: readonly string[];
  /**
   * Puts a fault proxy in front of every node and announces its port: it counts and breaks the traffic of clients, but
   * not the traffic between nodes.
   *
   * @default false
   */
  readonly proxied?: boolean;
}

/** A cluster of local processes. */
export interface TestCluster extends AsyncDisposable {
  /** First the initial masters, then the replicas. */
  readonly nodes: readonly ClusterNode[];
  /** URLs of all nodes, for clients. */
  readonly urls: readonly string[];
  /** The running nodes that serve slots now. */
  masters(): Promise<readonly ClusterNode[]>;
  /** The running nodes that follow a master now: any, or `master`. */
  replicas(master?: ClusterNode): Promise<readonly ClusterNode[]>;
  slotOf(key: string): Promise<number>;
  /** The master of a key or of a slot, in the view of the running nodes. */
  ownerOf(keyOrSlot: string | number): Promise<ClusterNode>;
  /** A key that `master` serves: `<prefix><number>`. */
  keyOn(master: ClusterNode, prefix?: string): Promise<string>;
  /**
   * Waits until the running nodes agree: state ok, a running master for every slot, all others replicas in sync. After
   * the loss of a master this includes the failover.
   */
  waitUntilOk(): Promise<void>;
  /**
   * CLUSTER FAILOVER: makes a replica the master while the old one stays up. Resolves when the running nodes agree that
   * it is, as after `waitUntilOk`: the command alone only begins it, and the old master still takes writes.
   *
   * Do not lose a master within `4 * nodeTimeoutMs` of its return to the role by a second `promote`. Its replica counts
   * the votes of its own promotion, takes the role under an epoch that has passed, and no node follows it (Redis 7.0).
   */
  promote(replica: ClusterNode): Promise<void>;
  /** Sets `nodeTimeoutMs` of the running nodes. A node that starts again has the first one. */
  nodeTimeout(ms: number): Promise<void>;
  /**
   * Begins to move a slot and stops half-way: `from` still serves the keys it has, answers ASK for others, and TRYAGAIN
   * to commands over both kinds.
   */
  migrateHalfway(slot: number, to: ClusterNode): Promise<HalfMigration>;
  /** Kills all nodes and removes their data. */
  stop(): Promise<void>;
}

/** A slot that is MIGRATING on `from` and IMPORTING on `to`. */
export interface HalfMigration {
  readonly slot: number;
  readonly from: ClusterNode;
  readonly to: ClusterNode;
  /** Moves these keys; the others stay. */
  move(...keys: readonly string[]): Promise<void>;
  /** Moves the other keys and the slot. */
  finish(): Promise<void>;
  /** Leaves the slot and the keys that have not been moved on `from`. */
  abort(): Promise<void>;
}

/** Starts a cluster and waits until all nodes agree on its state, and list all replicas for clients: about 3 s. */
export async function startCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const { masters: masterCount = 3, replicas: replicasEach = 1 } = options;
  const nodes: ClusterNode[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map(async ({ proxy, stop: stopNode }) => Promise.all([proxy?.close(), stopNode()])));
  };
  try {
    const started = await Promise.allSettled(
      Array.from({ length: masterCount * (1 + replicasEach) }, () => startNode(options)),
    );
    for (const result of started) if (result.status === "fulfilled") nodes.push(result.value);
    for (const result of started) if (result.status === "rejected") throw result.reason;
    await form(nodes, masterCount);
    await waitUntilAgreed(nodes, nodes.length - masterCount);
    await waitUntilListed(nodes, replicasEach);
  } catch (error) {
    await stop();
    throw error;
  }

  const view = async (): Promise<readonly NodeView[]> => agreedView(nodes);
  const ownerOf = async (keyOrSlot: string | number): Promise<ClusterNode> => {
    const slot = typeof keyOrSlot === "number" ? keyOrSlot : await slotOf(keyOrSlot);
    const owner = (await view()).find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last));
    const node = nodes.find(({ id }) => id === owner?.id);
    if (node === undefined) throw new Error(`No node of this cluster serves slot ${slot}`);
    return node;
  };
  const slotOf = async (key: string): Promise<number> =>
    Number(await running(nodes).command("CLUSTER", "KEYSLOT", key));
  const living = async (select: (seen: NodeView) => boolean): Promise<readonly ClusterNode[]> => {
    const ids = new Set((await view()).filter(select).map(({ id }) => id));
    return nodes.filter(({ id, state }) => state === "running" && ids.has(id));
  };

  return {
    nodes,
    urls: nodes.map(({ url }) => url),
    masters: () => living(({ slots }) => slots.length > 0),
    replicas: (master) =>
      living(({ masterId }) => (master === undefined ? masterId !== undefined : masterId === master.id)),
    slotOf,
    ownerOf,
    keyOn: async (master, prefix = "key:") => {
      for (let i = 0; ; i++) {
        const key = `${prefix}${i}`;
        if ((await ownerOf(key)) === master) return key;
      }
    },
    waitUntilOk: () => waitUntilAgreed(nodes, 0),
    promote: (replica) => promote(nodes, replica),
    nodeTimeout: async (ms) => {
      const alive = nodes.filter(({ state }) => state === "running");
      await Promise.all(alive.map((node) => node.command("CONFIG", "SET", "cluster-node-timeout", ms)));
    },
    migrateHalfway: async (slot, to) => migrateHalfway(nodes, slot, await ownerOf(slot), to, options.password),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function startNode({
  nodeTimeoutMs = 2_000,
  password,
  config,
  proxied = false,
}: TestClusterOptions): Promise<ClusterNode> {
  // The node announces the proxy's port, so the proxy must exist before the node starts.
  let behind: { readonly port: number; readonly proxy: FaultProxy } | undefined;
  const redis = await launchRedis(
    { ...(password === undefined ? {} : { password }), ...(config === undefined ? {} : { config }) },
    {
      name: "cluster",
      config: async (_directory, port) => {
        await behind?.proxy.close();
        behind = proxied ? { port, proxy: await startProxy(port) } : undefined;
        return [
          `port ${port}`,
          "cluster-enabled yes",
          "cluster-config-file nodes.conf",
          `cluster-port ${await freePort()}`,
          `cluster-node-timeout ${nodeTimeoutMs}`,
          // These pings are replicated, too: see `waitUntilListed`.
          "repl-ping-replica-period 1",
          ...(behind === undefined ? [] : [`cluster-announce-port ${behind.proxy.port}`]),
          ...(password === undefined ? [] : [`masterauth ${quoted(password)}`]),
        ];
      },
      url: (credentials, port) => `redis://${credentials}127.0.0.1:${behind?.proxy.port ?? port}`,
    },
  );
  return Object.assign(redis, { id: String(await redis.command("CLUSTER", "MYID")), proxy: behind?.proxy });
}

const SLOTS = 16_384;

async function form(nodes: readonly ClusterNode[], masterCount: number): Promise<void> {
  const masters = nodes.slice(0, masterCount);
  await Promise.all(nodes.map((node, i) => node.command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)));
  await Promise.all(
    masters.map((master, i) => {
      const first = Math.floor((SLOTS * i) / masterCount);
      const last = Math.floor((SLOTS * (i + 1)) / masterCount) - 1;
      return master.command("CLUSTER", "ADDSLOTSRANGE", first, last);
    }),
  );
  // Each node meets each other one explicitly: gossip alone takes seconds.
  for (const node of nodes) {
    for (const other of nodes) {
      if (other !== node) await node.command("CLUSTER", "MEET", "127.0.0.1", other.port, await busPort(other));
    }
  }
  await until("the cluster's nodes to know each other", async () => {
    const views = await Promise.all(nodes.map(viewOf));
    return views.every(
      (view) => view.length === nodes.length && view.every(({ flags }) => !flags.includes("handshake")),
    );
  });
  await Promise.all(
    nodes
      .slice(masterCount)
      .map((replica, i) => replica.command("CLUSTER", "REPLICATE", masters[i % masterCount]?.id ?? "")),
  );
}

async function busPort(node: ClusterNode): Promise<number> {
  const reply = await node.command("CONFIG", "GET", "cluster-port");
  return Number((reply as readonly string[])[1]);
}

/** A line of CLUSTER NODES. */
interface NodeView {
  readonly id: string;
  readonly flags: readonly string[];
  readonly masterId: string | undefined;
  /** First and last slot of each range. */
  readonly slots: readonly (readonly [number, number])[];
}

async function viewOf(node: OwnRedis): Promise<readonly NodeView[]> {
  const text = String(await node.command("CLUSTER", "NODES"));
  return text
    .trim()
    .split("\n")
    .map((line) => {
      const [id = "", , flags = "", master = "-", , , , , ...slots] = line.split(" ");
      return {
        id,
        flags: flags.split(","),
        masterId: master === "-" ? undefined : master,
        // A migrating slot is listed in brackets, after the ranges.
        slots: slots
          .filter((range) => !range.startsWith("["))
          .map((range) => {
            const [first = 0, last = first] = range.split("-").map(Number);
            return [first, last] as const;
          }),
      };
    });
}

function running(nodes: readonly ClusterNode[]): ClusterNode {
  const node = nodes.find(({ state }) => state === "running");
  if (node === undefined) throw new Error("No node of this cluster is running");
  return node;
}

/** The view of a node that reports the cluster as healthy; of any running node if none does. */
async function agreedView(nodes: readonly ClusterNode[]): Promise<readonly NodeView[]> {
  for (const node of nodes) {
    if (node.state === "running" && (await isOk(node))) return viewOf(node);
  }
  return viewOf(running(nodes));
}

async function isOk(node: ClusterNode): Promise<boolean> {
  return infoFields(await node.command("CLUSTER", "INFO"))["cluster_state"] === "ok";
}

async function waitUntilAgreed(nodes: readonly ClusterNode[], replicaCount: number): Promise<void> {
  await until("the cluster's nodes to agree that it is ok", async () => {
    const alive = nodes.filter(({ state }) => state === "running");
    const seen = await Promise.all(alive.map((node) => rolesSeenBy(node, alive, replicaCount)));
    if (new Set(seen).size > 1) throw new Error(`the nodes see different roles:\n${seen.join("\n")}`);
    return true;
  });
}

/** Waits until all replicas are in CLUSTER SLOTS, which clients read: none is before it has replicated something. */
async function waitUntilListed(nodes: readonly ClusterNode[], replicasEach: number): Promise<void> {
  await until("the cluster's nodes to list their replicas", async () => {
    const replies = await Promise.all(nodes.map((node) => node.command("CLUSTER", "SLOTS")));
    const ranges = replies.flat() as readonly (readonly unknown[])[];
    // First and last slot, the primary, its replicas.
    return ranges.every(({ length }) => length === 3 + replicasEach);
  });
}

/**
 * The masters with their slots and the replicas with their masters, as one node sees them.
 *
 * @throws {Error} with the node's view, while it does not see a healthy cluster of the nodes that are `alive`.
 */
async function rolesSeenBy(node: ClusterNode, alive: readonly ClusterNode[], replicaCount: number): Promise<string> {
  const ids = new Set(alive.map(({ id }) => id));
  const view = await viewOf(node);
  const refuse = (reason: string): never => {
    throw new Error(`node ${node.id}: ${reason}; it sees ${JSON.stringify(view)}`);
  };
  if (!(await isOk(node))) refuse("the state is not ok");
  const masters = view.filter(({ slots }) => slots.length > 0);
  const replicas = view.filter(({ id, masterId }) => ids.has(id) && masterId !== undefined);
  const covered = masters.flatMap(({ slots }) => slots).reduce((sum, [first, last]) => sum + last - first + 1, 0);
  if (covered !== SLOTS) refuse(`${covered} slots have a master`);
  if (!masters.every(({ id }) => ids.has(id))) refuse("a master is not running");
  if (replicas.length < replicaCount) refuse(`${replicas.length} of ${replicaCount} replicas`);
  // A lost master that came back has neither slots nor a master until the others know its new role.
  if (masters.length + replicas.length < alive.length) refuse("a node has neither slots nor a master");
  const { role, master_link_status: link } = await node.info("replication");
  if (role === "slave" && link !== "up") refuse(`the link to its master is ${link}`);
  return JSON.stringify([...masters, ...replicas].map(({ id, masterId = "", slots }) => [id, masterId, slots]).sort());
}

/** A replica gives up a manual failover after this time, and notes it in its log only. */
const MANUAL_FAILOVER_MS = 5_000;

/**
 * Repeated until the role holds. A replica that is asked again within `4 * nodeTimeoutMs` of its last election counts
 * the votes of that one, and takes the role under an epoch that has passed: the old master, whose epoch is newer, takes
 * it back (Redis 7.0).
 */
async function promote(nodes: readonly ClusterNode[], replica: ClusterNode): Promise<void> {
  const isMaster = async (): Promise<boolean> => {
    const [role] = (await replica.command("ROLE")) as readonly unknown[];
    return role === "master";
  };
  await until("the replica to stay a master", async () => {
    if (!(await isMaster())) {
      // Refused until the replica is in sync. Not repeated immediately: that would begin a running one again.
      await replica.command("CLUSTER", "FAILOVER");
      await until("the failover", isMaster, MANUAL_FAILOVER_MS + 1_000);
    }
    await waitUntilAgreed(nodes, 0);
    return isMaster();
  });
}

async function migrateHalfway(
  nodes: readonly ClusterNode[],
  slot: number,
  from: ClusterNode,
  to: ClusterNode,
  password: string | undefined,
): Promise<HalfMigration> {
  if (from === to) throw new Error(`slot ${slot} is already on the target node`);
  await to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", from.id);
  await from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id);
  const credentials = password === undefined ? [] : ["AUTH", password];
  const move = async (...keys: readonly string[]): Promise<void> => {
    // Both nodes stand still meanwhile. Without an answer the key may be on both, and `from` still serves it.
    const sent = ["MIGRATE", "127.0.0.1", to.port] as const;
    for (const key of keys)
      await until(`${key} to move`, () => from.command(...sent, key, 0, 1_000, "REPLACE", ...credentials));
  };
  return {
    slot,
    from,
    to,
    move,
    finish: async () => {
      await move(...((await from.command("CLUSTER", "GETKEYSINSLOT", slot, 100_000)) as readonly string[]));
      await to.command("CLUSTER", "SETSLOT", slot, "NODE", to.id);
      await from.command("CLUSTER", "SETSLOT", slot, "NODE", to.id);
      await waitUntilAgreed(nodes, 0);
    },
    abort: async () => {
      await from.command("CLUSTER", "SETSLOT", slot, "STABLE");
      await to.command("CLUSTER", "SETSLOT", slot, "STABLE");
    },
  };
}
