/**
 * Each step is one script over keys of one slot. Time is the server's. `ARGV[1]` is the token of one holder: a
 * script that is sent again, because its reply was lost, recognises it.
 *
 * An attempt replies `{1, fence}`, or `{0, ms}` with the time that is left to the holder, -1 without an end. Extending
 * and releasing reply 1 where the token held, else 0.
 */
export interface LockScripts {
  /** ARGV: token, life in ms, and the claim's own argument. */
  readonly acquire: string;
  /** ARGV: token, life in ms, and a fence below which no later one may lie, or 0. */
  readonly extend: string;
  /** ARGV: token, its fence, and 1 where the reply of an earlier release was lost. */
  readonly release: string;
}

/** How long the last fence is remembered. Later the clock alone makes fences rise. */
export const FENCE_MEMORY_MS = 86_400_000;

/** Numbers above this are not whole in Lua. A larger one was not written here. */
const MAX_FENCE = 2 ** 53 - 1;

/** Defines `now`, milliseconds, and `fence`, the server's microseconds. */
const TIME = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fence = time[1] * 1000000 + time[2]`;

/** Defines `raise`: the fence becomes greater than the last one of a key. A clock that was set back changes nothing. */
const RAISE = `
local function raise(key)
  local last = tonumber(redis.call('GET', key) or 0) or 0
  if last >= fence and last < ${MAX_FENCE} then fence = last + 1 end
end`;

/** Defines `remember`: by format(), since tostring() gives 1.8e+15. */
const REMEMBER = `
local function remember(key)
  redis.call('SET', key, string.format('%.0f', fence), 'PX', ARGV[2] + ${FENCE_MEMORY_MS})
end`;

/** Wakes callers that wait. Without the right to publish they wait somewhat longer. */
const publish = (key: string): string => `redis.pcall('PUBLISH', ${key}, '')`;

/** KEYS: a lock and its fence, for each resource. All of them, or none. */
export const EXCLUSIVE: LockScripts = {
  acquire: `
for i = 1, #KEYS, 2 do
  local holder = redis.call('GET', KEYS[i])
  if holder and holder ~= ARGV[1] then return {0, redis.call('PTTL', KEYS[i])} end
end${TIME}${RAISE}${REMEMBER}
for i = 2, #KEYS, 2 do raise(KEYS[i]) end
for i = 1, #KEYS, 2 do
  redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
  remember(KEYS[i + 1])
end
return {1, string.format('%.0f', fence)}`,
  extend: `
for i = 1, #KEYS, 2 do
  if redis.call('GET', KEYS[i]) ~= ARGV[1] then return 0 end
end
for i = 1, #KEYS, 2 do
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
  if ARGV[3] ~= '0' and (tonumber(redis.call('GET', KEYS[i + 1]) or 0) or 0) < tonumber(ARGV[3]) then
    redis.call('SET', KEYS[i + 1], ARGV[3], 'PX', ARGV[2] + ${FENCE_MEMORY_MS})
  end
end
return 1`,
  // Sent again: a lock that is free was released by the first one, if no fence was given since.
  release: `
local wasHeld = 1
for i = 1, #KEYS, 2 do
  local holder = redis.pcall('GET', KEYS[i])
  if holder == ARGV[1] then
    redis.call('DEL', KEYS[i])
    ${publish("KEYS[i]")}
  elseif holder or ARGV[3] == '0' or redis.call('GET', KEYS[i + 1]) ~= ARGV[2] then
    wasHeld = 0
  end
end
return wasHeld`,
};

/** Members are tokens, scores the instants at which their leases end. A lease that has ended does not count. */
const present = (key: string): string => `redis.call('ZCOUNT', ${key}, '(' .. now, '+inf')`;

const sweep = (key: string): string => `
redis.call('ZREMRANGEBYSCORE', ${key}, '-inf', now)`;

/**
 * Adds the token, or moves its end; the key lives as long as its last member. Without memory Redis refuses `ZADD`,
 * unless the script has written before it: an attempt sweeps after this, an extension before it.
 */
const enter = (key: string): string => `
redis.call('ZADD', ${key}, now + ARGV[2], ARGV[1])
redis.call('PEXPIREAT', ${key}, redis.call('ZRANGE', ${key}, -1, -1, 'WITHSCORES')[2])`;

const extendMember = (key: string): string => `${TIME}
local endsAt = redis.call('ZSCORE', ${key}, ARGV[1])
if not endsAt or tonumber(endsAt) <= now then return 0 end${sweep(key)}${enter(key)}
return 1`;

/** Sent again: a token that is gone was removed by the first one; its time was not over when that was sent. */
const releaseMember = (key: string): string => `${TIME}
local endsAt = redis.call('ZSCORE', ${key}, ARGV[1])
if not endsAt then return tonumber(ARGV[3]) end
redis.call('ZREM', ${key}, ARGV[1])
${publish("KEYS[1]")}
return tonumber(endsAt) > now and 1 or 0`;

/** KEYS: holders, fence. `ARGV[3]` of an attempt: how many may hold at once. */
export const PERMITS: LockScripts = {
  acquire: `${TIME}${RAISE}${REMEMBER}
local own = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not (own and tonumber(own) > now) and ${present("KEYS[1]")} >= tonumber(ARGV[3]) then
  return {0, redis.call('ZRANGE', KEYS[1], '(' .. now, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')[2] - now}
end
raise(KEYS[2])${enter("KEYS[1]")}${sweep("KEYS[1]")}
remember(KEYS[2])
return {1, string.format('%.0f', fence)}`,
  extend: extendMember("KEYS[1]"),
  release: releaseMember("KEYS[1]"),
};

/** KEYS: writer, readers, fence. */
export const READ: LockScripts = {
  acquire: `
if redis.call('EXISTS', KEYS[1]) == 1 then return {0, redis.call('PTTL', KEYS[1])} end${TIME}${RAISE}${REMEMBER}
raise(KEYS[3])${enter("KEYS[2]")}${sweep("KEYS[2]")}
remember(KEYS[3])
return {1, string.format('%.0f', fence)}`,
  extend: extendMember("KEYS[2]"),
  release: releaseMember("KEYS[2]"),
};

/**
 * KEYS: writer, readers, fence. `ARGV[3]` of an attempt: for how many ms a writer that goes on waiting keeps new
 * readers out, or 0: else readers that follow one another would keep it out for ever.
 */
export const WRITE: LockScripts = {
  acquire: `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {0, redis.call('PTTL', KEYS[1])} end${TIME}${RAISE}${REMEMBER}
if ${present("KEYS[2]")} > 0 then
  if ARGV[3] ~= '0' then redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) end
  return {0, redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2] - now}
end
raise(KEYS[3])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
remember(KEYS[3])
return {1, string.format('%.0f', fence)}`,
  extend: `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`,
  release: `
local holder = redis.pcall('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('DEL', KEYS[1])
  ${publish("KEYS[1]")}
  return 1
end
if holder or ARGV[3] == '0' or redis.call('GET', KEYS[3]) ~= ARGV[2] then return 0 end
return 1`,
};
