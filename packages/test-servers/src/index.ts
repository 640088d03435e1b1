export { freePort, freePorts } from "./port.ts";
export { temporaryDirectory } from "./server-process.ts";
export { SERVER_TARGETS } from "./executable.ts";
export { startMemcached, startOwnMemcached, type OwnMemcached, type TestMemcached } from "./memcached.ts";
export { isNightly } from "./nightly.ts";
export { computationsAfterFailures, lateValues, type Guest, type Guests } from "./outside-values.ts";
export { redisPrograms } from "./programs.ts";
export { encodeCommand, PushFrame, ReplyError, RespDecoder, type Frame } from "./resp.ts";
export { RespClient, type Reply, type RespClientOptions } from "./resp-client.ts";
export {
  randomPrefix,
  startOwnRedis,
  startRedis,
  type OwnRedis,
  type OwnRedisOptions,
  type SharedRedis,
  type TestRedis,
} from "./redis.ts";
export {
  startRestProxy,
  type RestCounts,
  type RestFault,
  type EventStreams,
  type RestProxy,
  type RestProxyOptions,
  type StreamFault,
} from "./rest-proxy.ts";
export { startProxy, type FaultProxy, type ProxyTarget } from "./proxy.ts";
export type { Direction, Hold } from "./proxied-connection.ts";
export { isSubscription, type ReadonlyCommand, type TrafficCounts } from "./traffic.ts";
export { startAclRedis, type AclRedis, type AclRedisOptions } from "./acl.ts";
export { createAuthority } from "./certificates.ts";
export {
  startTlsRedis,
  testCertificates,
  type ServerCertificate,
  type TestCertificates,
  type TlsRedis,
  type TlsRedisOptions,
} from "./tls.ts";
export {
  startCluster,
  type ClusterNode,
  type HalfMigration,
  type TestCluster,
  type TestClusterOptions,
} from "./cluster.ts";
export { startSentinel, type SentinelNode, type TestSentinel, type TestSentinelOptions } from "./sentinel.ts";
export { untilReplicated } from "./replication.ts";
export { answerCalls, type Handlers } from "./answer-calls.ts";
export {
  forkScript,
  ofWorkspace,
  RemoteError,
  type ForkScriptOptions,
  type ScriptExit,
  type ScriptProcess,
} from "./fork-script.ts";
export { until } from "./until.ts";
export {
  startServers,
  TOPOLOGIES,
  type FleetServers,
  type FleetServersOptions,
  type Place,
  type Topology,
} from "./fleet-servers.ts";
export { Random } from "./random.ts";
export { cloned, jsonOf, packed } from "./repeated.ts";
export {
  startOwnPostgres,
  startPostgres,
  type OwnPostgres,
  type OwnPostgresOptions,
  type TestPostgres,
} from "./postgres.ts";
