// Files that rows and their mutants name often, from the top of the repository.

const TOOLKIT = "packages/redis-toolkit";

export const TESTS = {
  boards: `${TOOLKIT}/test/boards.integration.test.ts`,
  commands: `${TOOLKIT}/test/commands.integration.test.ts`,
  connections: `${TOOLKIT}/test/connections.integration.test.ts`,
  consumers: `${TOOLKIT}/test/stream-consumers.integration.test.ts`,
  counters: `${TOOLKIT}/test/presence-counters.integration.test.ts`,
  errors: `${TOOLKIT}/test/errors-by-call.integration.test.ts`,
  expressSession: `${TOOLKIT}/test/express-session.integration.test.ts`,
  health: `${TOOLKIT}/test/health.integration.test.ts`,
  limits: `${TOOLKIT}/test/limits.integration.test.ts`,
  limitsAway: `${TOOLKIT}/test/limits-away.integration.test.ts`,
  limitsHttp: `${TOOLKIT}/test/limits-http.integration.test.ts`,
  limitsModel: `${TOOLKIT}/test/limits-model.integration.test.ts`,
  lockFaults: `${TOOLKIT}/test/lock-faults.integration.test.ts`,
  locks: `${TOOLKIT}/test/locks.integration.test.ts`,
  operations: `${TOOLKIT}/test/operations.integration.test.ts`,
  pool: `${TOOLKIT}/test/pool.integration.test.ts`,
  pubsub: `${TOOLKIT}/test/pubsub.integration.test.ts`,
  queue: `${TOOLKIT}/test/queue.integration.test.ts`,
  queueFaults: `${TOOLKIT}/test/queue-faults.integration.test.ts`,
  redis: `${TOOLKIT}/test/redis.integration.test.ts`,
  rows: `${TOOLKIT}/test/rows.integration.test.ts`,
  sessions: `${TOOLKIT}/test/sessions.integration.test.ts`,
  settings: `${TOOLKIT}/src/settings/settings.test.ts`,
  streams: `${TOOLKIT}/test/streams.integration.test.ts`,
  tenants: `${TOOLKIT}/test/tenants.integration.test.ts`,
  windows: `${TOOLKIT}/test/windowed-boards.integration.test.ts`,
} as const;

export const SOURCES = {
  address: `${TOOLKIT}/src/settings/address.ts`,
  builder: `${TOOLKIT}/src/commands/command-builder.ts`,
  commands: `${TOOLKIT}/src/commands/commands.ts`,
  createRedis: `${TOOLKIT}/src/redis/create-redis.ts`,
  environment: `${TOOLKIT}/src/settings/environment.ts`,
  group: `${TOOLKIT}/src/streams/group.ts`,
  named: `${TOOLKIT}/src/commands/node-redis-commands.ts`,
  replyError: `${TOOLKIT}/src/errors/reply-error.ts`,
  scan: `${TOOLKIT}/src/commands/scan.ts`,
  scripts: `${TOOLKIT}/src/commands/scripts.ts`,
  settings: `${TOOLKIT}/src/settings/settings.ts`,
  stream: `${TOOLKIT}/src/streams/stream.ts`,
} as const;
