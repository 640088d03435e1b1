/**
 * Each step is one script over keys of one slot. Time is the server's. `ARGV[1]` is the token of one holder: a
 * script that is sent again, because its reply was lost, recognises it.
 *
 * No script shortens a life: one of a connection that was lost may be carried out after later ones of its holder.
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

/** How long the last fence is remembered (decision 0102). Later the clock alone makes fences rise. */
const FENCE_MEMORY_MS = 86_400_000;

/** Numbers above this are not whole in Lua. A larger one was not written here. */
const MAX_FENCE = 2 ** 53 - 1;

const TIME = `
local time = redis.call('TIME')`;

/** Milliseconds. */
const NOW = `
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/**
 * Lifts the fence above the last one of a key. A clock that was set back changes nothing. In lines, not as a function
 * of Lua, which each run would create again.
 */
const raised = (key: string): string => `
  local last = tonumber(redis.call('GET', ${key}) or 0)
  if last and last >= fence and last < ${MAX_FENCE} then fence = last + 1 end`;

/** Begins the fence at the server's clock, in microseconds. */
const CLOCK = `
local fence = time[1] * 1000000 + time[2]`;

/** The fence as text: tostring() gives 1.8e+15. */
const AS_TEXT = `
fence = string.format('%.0f', fence)`;

const remember = (key: string): string => `redis.call('SET', ${key}, fence, 'PX', ARGV[2] + ${FENCE_MEMORY_MS})`;

/** Wakes callers that wait. Without the right to publish they wait somewhat longer. */
const publish = (key: string): string => `redis.pcall('PUBLISH', ${key}, '')`;

/** Takes a key that is free, or has the same token. */
const take = (key: string): string => `if not redis.call('SET', ${key}, ARGV[1], 'PX', ARGV[2], 'NX') then
    redis.call('PEXPIRE', ${key}, ARGV[2], 'GT')
  end`;

/** KEYS: a lock and its fence, for each of several resources. All of them, or none. */
export const EXCLUSIVE: LockScripts = {
  acquire: `
for i = 1, #KEYS, 2 do
  local holder = redis.call('GET', KEYS[i])
  if holder and holder ~= ARGV[1] then return {0, redis.call('PTTL', KEYS[i])} end
end${TIME}${CLOCK}
for i = 2, #KEYS, 2 do${raised("KEYS[i]")}
end${AS_TEXT}
for i = 1, #KEYS, 2 do
  ${take("KEYS[i]")}
  ${remember("KEYS[i + 1]")}
end
return {1, fence}`,
  extend: `
for i = 1, #KEYS, 2 do
  if redis.call('GET', KEYS[i]) ~= ARGV[1] then return 0 end
end
for i = 1, #KEYS, 2 do
  redis.call('PEXPIRE', KEYS[i], ARGV[2], 'GT')
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

/**
 * KEYS: a lock and its fence. As above with fewer commands: each `SET` answers what was there. A server that is full
 * refuses the first one, of a lock that another holds too.
 */
export const EXCLUSIVE_ONE: LockScripts = {
  ...EXCLUSIVE,
  acquire: `
local holder = redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX', 'GET')
if type(holder) == 'table' then
  local other = redis.call('GET', KEYS[1])
  if not other or other == ARGV[1] then return holder end
  holder = other
end
if holder then
  if holder ~= ARGV[1] then return {0, redis.call('PTTL', KEYS[1])} end
  redis.call('PEXPIRE', KEYS[1], ARGV[2], 'GT')
end${TIME}
local clock, life = time[1] * 1000000 + time[2], ARGV[2] + ${FENCE_MEMORY_MS}
local fence = string.format('%.0f', clock)
local last = redis.pcall('SET', KEYS[2], fence, 'PX', life, 'GET')
if type(last) == 'table' then
  if not holder then redis.call('DEL', KEYS[1]) end
  return last
end
last = tonumber(last or 0)
if last and last >= clock and last < ${MAX_FENCE} then
  fence = string.format('%.0f', last + 1)
  redis.call('SET', KEYS[2], fence, 'PX', life)
end
return {1, fence}`,
};

/** Members are tokens, scores the instants at which their leases end. A lease that has ended does not count. */
const present = (key: string): string => `redis.call('ZCOUNT', ${key}, '(' .. now, '+inf')`;

/** Whether the token is in: then an attempt is sent again. */
const has = (key: string): string => `(tonumber(redis.call('ZSCORE', ${key}, ARGV[1]) or 0) > now)`;

const sweep = (key: string): string => `
redis.call('ZREMRANGEBYSCORE', ${key}, '-inf', now)`;

/**
 * Adds the token, or moves its end; the key lives as long as its last member. Without memory Redis refuses `ZADD`,
 * unless the script has written before it: an attempt sweeps after this, an extension before it.
 */
const enter = (key: string): string => `
redis.call('ZADD', ${key}, 'GT', now + ARGV[2], ARGV[1])
redis.call('PEXPIREAT', ${key}, redis.call('ZRANGE', ${key}, -1, -1, 'WITHSCORES')[2])`;

const extendMember = (key: string): string => `${TIME}${NOW}
local endsAt = redis.call('ZSCORE', ${key}, ARGV[1])
if not endsAt or tonumber(endsAt) <= now then return 0 end${sweep(key)}${enter(key)}
return 1`;

/** Sent again: a token that is gone was removed by the first one; its time was not over when that was sent. */
const releaseMember = (key: string): string => `${TIME}${NOW}
local endsAt = redis.call('ZSCORE', ${key}, ARGV[1])
if not endsAt then return tonumber(ARGV[3]) end
redis.call('ZREM', ${key}, ARGV[1])
${publish("KEYS[1]")}
return tonumber(endsAt) > now and 1 or 0`;

/** KEYS: holders, fence. `ARGV[3]` of an attempt: how many may hold at once. */
export const PERMITS: LockScripts = {
  acquire: `${TIME}${NOW}
if not ${has("KEYS[1]")} and ${present("KEYS[1]")} >= tonumber(ARGV[3]) then
  return {0, redis.call('ZRANGE', KEYS[1], '(' .. now, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')[2] - now}
end${CLOCK}${raised("KEYS[2]")}${AS_TEXT}${enter("KEYS[1]")}${sweep("KEYS[1]")}
${remember("KEYS[2]")}
return {1, fence}`,
  extend: extendMember("KEYS[1]"),
  release: releaseMember("KEYS[1]"),
};

/** KEYS: writer, readers, fence. */
export const READ: LockScripts = {
  acquire: `${TIME}${NOW}
if redis.call('EXISTS', KEYS[1]) == 1 and not ${has("KEYS[2]")} then return {0, redis.call('PTTL', KEYS[1])} end
${CLOCK}${raised("KEYS[3]")}${AS_TEXT}${enter("KEYS[2]")}${sweep("KEYS[2]")}
${remember("KEYS[3]")}
return {1, fence}`,
  extend: extendMember("KEYS[2]"),
  release: releaseMember("KEYS[2]"),
};

/**
 * KEYS: writer, readers, fence. `ARGV[3]` of an attempt: for how many ms a writer that keeps waiting holds off
 * new readers, or 0: otherwise overlapping readers would starve it.
 */
export const WRITE: LockScripts = {
  acquire: `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {0, redis.call('PTTL', KEYS[1])} end${TIME}${NOW}
if ${present("KEYS[2]")} > 0 then
  if ARGV[3] ~= '0' then redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) end
  return {0, redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2] - now}
end${CLOCK}${raised("KEYS[3]")}${AS_TEXT}
${take("KEYS[1]")}
${remember("KEYS[3]")}
return {1, fence}`,
  extend: `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2], 'GT')
return 1`,
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
