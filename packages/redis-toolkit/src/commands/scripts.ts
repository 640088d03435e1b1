// Steps for which Redis has no single command: each a script over keys of one slot. `unpack` takes some thousand values
// at most, so what has no bound goes in parts.

/** The value of KEYS[1] after it was set if absent, and whether it was. ARGV: value, life in ms or 0. */
export const SET_IF_ABSENT_AND_GET = `
local found = redis.call('GET', KEYS[1])
if found then return {0, found} end
if ARGV[2] == '0' then redis.call('SET', KEYS[1], ARGV[1])
else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return {1, ARGV[1]}`;

/** Sets all of KEYS, or none if one exists. ARGV: life in ms or 0, then the values. */
export const SET_ALL_IF_ABSENT = `
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then return 0 end
end
for i, key in ipairs(KEYS) do
  if ARGV[1] == '0' then redis.call('SET', key, ARGV[i + 1])
  else redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1]) end
end
return 1`;

/** Fields of the hash KEYS[1], with its life. ARGV: life in ms, then fields and values. Returns how many are new. */
export const HASH_SET = `
local added = 0
for i = 2, #ARGV, 2000 do
  added = added + redis.call('HSET', KEYS[1], unpack(ARGV, i, math.min(i + 1999, #ARGV)))
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return added`;

/** A field of KEYS[1] that is absent; only then its life. ARGV: field, value, life in ms or 0. */
export const HASH_SET_IF_ABSENT = `
local added = redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
if added == 1 and ARGV[3] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return added`;

/**
 * Adds to fields of KEYS[1]: to all, or to none where one is not a whole number of 64 bits, before or after.
 *
 * ARGV: life of a new hash in ms or 0; fields and numbers.
 */
export const HASH_INCREASE = `
local isNew = redis.call('EXISTS', KEYS[1]) == 0
local before, sums = {}, {}
for i = 2, #ARGV, 2 do
  before[i] = redis.call('HGET', KEYS[1], ARGV[i])
  local reply = redis.pcall('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
  if type(reply) == 'table' and reply.err then
    for done = i - 2, 2, -2 do
      if before[done] then redis.call('HSET', KEYS[1], ARGV[done], before[done])
      else redis.call('HDEL', KEYS[1], ARGV[done]) end
    end
    return reply
  end
  sums[#sums + 1] = redis.call('HGET', KEYS[1], ARGV[i])
end
if isNew and ARGV[1] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return sums`;

/** Adds ARGV[1] to KEYS[1]; a new counter lives for ARGV[2] ms, or forever if that is 0. */
export const INCREASE = `
local isNew = redis.call('EXISTS', KEYS[1]) == 0
redis.call('INCRBY', KEYS[1], ARGV[1])
if isNew and ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])`;

/**
 * Adds ARGV[1] to each of KEYS: to all, or to none where one is not a whole number of 64 bits, before or after. New
 * counters live for ARGV[2] ms, or forever if that is 0.
 */
export const INCREASE_ALL = `
local before, sums = {}, {}
for i, key in ipairs(KEYS) do
  local reply = redis.pcall('GET', key)
  before[i] = reply
  if type(reply) ~= 'table' then reply = redis.pcall('INCRBY', key, ARGV[1]) end
  if type(reply) == 'table' and reply.err then
    for done = i - 1, 1, -1 do
      if before[done] then redis.call('SET', KEYS[done], before[done], 'KEEPTTL')
      else redis.call('DEL', KEYS[done]) end
    end
    return reply
  end
  sums[i] = redis.call('GET', key)
end
for i, key in ipairs(KEYS) do
  if not before[i] and ARGV[2] ~= '0' then redis.call('PEXPIRE', key, ARGV[2]) end
end
return sums`;
