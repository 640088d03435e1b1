import { numberText } from "../output/text.ts";
import { isUnanswered, type Facts, type PrimaryFacts } from "./facts.ts";
import type { Finding } from "./finding.ts";
import { configs, infos, onWhich, orNone } from "./primaries.ts";
import { serverKind } from "./server-kind.ts";

export function checkServer(facts: Facts): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { address, info, roundTripMs } of facts.primaries) {
    if (isUnanswered(roundTripMs))
      findings.push({
        check: "server",
        severity: "error",
        found: "a server does not answer: every call for its keys fails",
        evidence: { server: address },
        fix: "look at its process, its machine and the network to it; --timeout bounds how long doctor waits",
      });
    if (!("value" in info)) continue;
    const { name, version = "unknown", support } = serverKind(info.value);
    if (support === "unsupported" || support === "untested")
      findings.push({
        check: "server",
        severity: support === "unsupported" ? "error" : "warning",
        found:
          `the server is ${name} ${version}, which hotset ` +
          `${support === "unsupported" ? "does not support" : "is not tested on"}`,
        evidence: { server: address, kind: name, version },
        fix: "use Redis 7.0 or later, or Valkey 7.2 or later; docs/guide/which-server.md#services has the services",
      });
    if (info.value.get("role") === "slave")
      findings.push({
        check: "server",
        severity: "error",
        found: "the address leads to a replica, which takes no writes",
        evidence: { server: address, role: "replica" },
        fix: "connect to the primary, or by REDIS_SENTINELS or REDIS_CLUSTER_URLS",
      });
    if (info.value.get("loading") === "1")
      findings.push({
        check: "server",
        severity: "warning",
        found: "the server still loads its data, so the sample of keys is not of all of them",
        evidence: { server: address, loading: 1 },
        fix: "run hotset doctor again when it has",
      });
  }
  return findings;
}

/** Clients of hotset that speak RESP2 to a server that speaks RESP3. */
export function checkProtocol({ primaries, isResp3Refused }: Facts): readonly Finding[] {
  if (isResp3Refused)
    return [
      {
        check: "protocol",
        severity: "error",
        found: "the server refuses RESP3: createRedis() and caches with default settings cannot connect to it",
        evidence: { protocol: 2 },
        fix: 'let HELLO pass, or set protocol: 2 everywhere, and coherence("pubsub") in each cache',
      },
    ];
  const clients = primaries.flatMap(({ clients }) => orNone(clients));
  const ours = clients.filter((client) => /^hotset(?::|$)/.test(client.get("name") ?? ""));
  const old = ours.filter((client) => client.get("resp") === "2");
  if (old.length === 0) return [];
  return [
    {
      check: "protocol",
      severity: "error",
      found:
        `${old.length} of ${ours.length} connections of hotset speak RESP2, although the server speaks RESP3: such ` +
        "caches cannot track",
      evidence: {
        connections: ours.length,
        resp2: old.length,
        addresses: old.slice(0, 5).map((one) => one.get("addr") ?? ""),
      },
      fix: "remove protocol: 2 and protocol(2), which is for servers without RESP3",
    },
  ];
}

/** The limits of a subscriber that does not read. Without any, its messages fill the memory of the server. */
export function checkBuffers(facts: Facts): readonly Finding[] {
  const findings: Finding[] = [];
  for (const config of configs(facts)) {
    const [hard = NaN, soft = NaN] = limitsOf(config.text("client-output-buffer-limit"), "pubsub");
    const clients = config.text("maxmemory-clients");
    const evidence = { server: config.address, hardBytes: hard, softBytes: soft, maxmemoryClients: clients };
    if (hard === 0 && soft === 0 && clients === "0")
      findings.push({
        check: "pubsub",
        severity: "warning",
        found: "the messages for a subscriber that does not read are not bounded: they fill the memory of the server",
        evidence,
        fix: 'CONFIG SET client-output-buffer-limit "pubsub 32mb 8mb 60", or maxmemory-clients 10%',
      });
    else if (hard > 0 && hard < SMALL_BUFFER)
      findings.push({
        check: "pubsub",
        severity: "warning",
        found: `a subscriber is closed once ${hard} bytes wait for it: a short burst of messages becomes a gap`,
        evidence,
        fix: 'CONFIG SET client-output-buffer-limit "pubsub 32mb 8mb 60"',
      });
  }
  return findings;
}

const SMALL_BUFFER = 1_000_000;

/** `normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60`. */
function limitsOf(text: string, kind: string): readonly number[] {
  const words = text.split(" ");
  const at = words.indexOf(kind);
  return at < 0 ? [] : words.slice(at + 1, at + 3).map(Number);
}

export function checkClients(facts: Facts): readonly Finding[] {
  const findings: Finding[] = [];
  for (const info of infos(facts)) {
    const rejected = info.number("rejected_connections");
    if (rejected > 0)
      findings.push({
        check: "clients",
        severity: "warning",
        found: `${rejected} connections were refused since the server started: maxclients was reached`,
        evidence: { server: info.address, rejectedConnections: rejected, maxclients: info.number("maxclients") },
        fix: "raise maxclients, or open fewer connections: one per process and node is enough",
      });
    const items = info.number("tracking_total_items");
    const keys = info.number("tracking_total_keys");
    const trackingClients = info.number("tracking_clients");
    // No client has more items than there are keys.
    const left = items - trackingClients * keys;
    if (left > 0)
      findings.push({
        check: "clients",
        severity: "warning",
        found: `at least ${left} of ${items} items in the tracking table are of closed connections`,
        evidence: { server: info.address, items, keys, trackingClients, left },
        fix: "each goes when its key changes or expires: set a shorter ttl for entries that many processes read",
      });
  }
  const timeouts = configs(facts).filter((config) => config.number("timeout") > 0);
  if (timeouts.length > 0)
    findings.push({
      check: "clients",
      severity: "warning",
      found:
        `the server closes connections that are idle for ${timeouts[0]!.number("timeout")} ` +
        `s${onWhich(timeouts, facts.primaries.length)}, subscribers of invalidations included`,
      evidence: { timeout: timeouts[0]!.number("timeout") },
      fix: "CONFIG SET timeout 0, and tcp-keepalive 60",
    });
  return findings;
}

const SLOW_MS = 100;
const SLOW_SINCE_S = 600;
const SWAP_MIN_BYTES = 100_000_000;

export function checkLatency(facts: Facts): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { address, roundTripMs } of facts.primaries)
    if ("value" in roundTripMs && roundTripMs.value > SLOW_MS)
      findings.push({
        check: "latency",
        severity: "warning",
        found: `a round trip takes ${Math.round(roundTripMs.value)} ms`,
        evidence: { server: address, roundTripMs: Math.round(roundTripMs.value) },
        fix: "run the server near its clients; health(redis).slowlog() has commands that hold it up",
      });
  for (const primary of facts.primaries) findings.push(...slowCommandsOf(primary, facts));
  for (const info of infos(facts)) {
    const [used, resident] = [info.number("used_memory"), info.number("used_memory_rss")];
    if (used > SWAP_MIN_BYTES && resident < 0.8 * used)
      findings.push({
        check: "latency",
        severity: "error",
        found: `only ${Math.round((100 * resident) / used)} % of the server's memory is resident: the rest is swapped`,
        evidence: { server: info.address, usedBytes: used, residentBytes: resident },
        fix: "give the machine more memory, or lower maxmemory; a Redis that swaps is slower than the disk",
      });
  }
  return findings;
}

/** All clients wait for a command that runs. */
function slowCommandsOf({ address, slow }: PrimaryFacts, facts: Facts): readonly Finding[] {
  const info = infos(facts).find((each) => each.address === address);
  if (info === undefined) return [];
  const nowS = info.number("server_time_usec") / 1e6;
  const recent = ("value" in slow ? slow.value : []).filter(({ at, ms }) => ms >= SLOW_MS && at >= nowS - SLOW_SINCE_S);
  const [longest] = recent.toSorted((one, other) => other.ms - one.ms);
  if (longest === undefined) return [];
  const { command, client } = longest;
  const times = recent.length === 1 ? "once" : `${recent.length} times`;
  return [
    {
      check: "latency",
      severity: "warning",
      found:
        `commands held the server up for ${SLOW_MS} ms or more ${times} in the last 10 minutes, ` +
        `the longest for ${Math.round(longest.ms)} ms: ${command}${client === "" ? "" : `, by ${client}`}`,
      evidence: {
        server: address,
        times: recent.length,
        longestMs: Math.round(longest.ms),
        commands: [...new Set(recent.map((each) => each.command))],
        clients: [...new Set(recent.map((each) => each.client))].slice(0, 5),
      },
      fix: "look at that program: SLOWLOG GET has its arguments; large values, KEYS and long scripts are slow for everyone",
    },
  ];
}

const SLOTS = 16_384;

export function checkCluster(facts: Facts): readonly Finding[] {
  const [info] = infos(facts);
  if (!facts.isCluster) {
    if (info?.text("cluster_enabled") !== "1") return [];
    return [
      {
        check: "cluster",
        severity: "error",
        found:
          "the server is one node of a cluster, but the settings name a single server: keys of other nodes are refused",
        evidence: { server: info.address, clusterEnabled: 1 },
        fix: "set REDIS_CLUSTER_URLS in place of REDIS_URL",
      },
    ];
  }
  const findings: Finding[] = [];
  if ("value" in facts.cluster) {
    const { value: cluster } = facts.cluster;
    const ok = Number(cluster.get("cluster_slots_ok"));
    const state = cluster.get("cluster_state") ?? "unknown";
    if (state !== "ok" || ok < SLOTS)
      findings.push({
        check: "cluster",
        severity: "error",
        found: `${numberText(ok)} of 16,384 slots are served, and the state of the cluster is ${state}`,
        evidence: { slotsOk: ok, state },
        fix: "redis-cli --cluster check, and --cluster fix",
      });
  }
  const alone = infos(facts).filter((primary) => primary.number("connected_slaves") === 0);
  if (alone.length > 0)
    findings.push({
      check: "cluster",
      severity: "warning",
      found: `${alone.length} of ${facts.primaries.length} primaries have no replica: their keys are lost with them`,
      evidence: {
        primaries: facts.primaries.length,
        withoutReplica: alone.length,
        addresses: alone.map(({ address }) => address),
      },
      fix: "redis-cli --cluster add-node --cluster-slave, for each of them",
    });
  return findings;
}
