import { crypto } from "./crypto.ts";

/**
 * The steps that must be one: each a Lua script over an entry and its lease, which share a slot.
 * Plain Lua without a shebang, which every Redis since 2.6 and every Valkey runs. Where a step
 * must work with memory full, its first write is a DEL, which Redis never refuses; where it must
 * be refused, an HSET.
 *
 * KEYS[1] is the entry, KEYS[2] its lease. Where an entry is gone, `SET` and `DEL` signal that to
 * whoever tracks its key: a DEL of a missing key is heard by nobody.
 */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

export function script(text: string): Script {
  let sha: string | undefined;
  return {
    text,
    get sha() { return (sha ??= crypto().hash("sha1", text)); },
  };
}

/**
 * Stores an entry; nothing of what was there survives. ARGV: lifetime in ms or `''`, then fields
 * and values. When it is refused, the older entry goes as well: it must not outlive the write.
 */
export const WRITE: Script = script(`local function put() return redis.pcall('HSET', KEYS[1], unpack(ARGV, 2)) end
local reply = put()
if type(reply) == 'table' then
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', KEYS[2])
    redis.call('SET', KEYS[1], '1')
    redis.call('DEL', KEYS[1])
    return reply
  end
  redis.call('DEL', KEYS[1])
  put()
elseif redis.call('HLEN', KEYS[1]) * 2 ~= #ARGV - 1 then
  redis.call('DEL', KEYS[1])
  put()
end
if ARGV[1] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
redis.call('DEL', KEYS[2])
return 1`);

/** Removes an entry and its lease: 1 when there was one. The lease goes first, so that its holder cannot store in between. */
export const REMOVE: Script = script(`redis.call('DEL', KEYS[2])
local n = redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], '1')
redis.call('DEL', KEYS[1])
return n`);

/**
 * Ends an entry's freshness: 1 when there was one. What remains of its life is its stale window,
 * which the head of `m` tells, or in an entry without `m` the time between `s` and its end.
 */
export const MARK_STALE: Script = script(`redis.call('DEL', KEYS[2])
local e = redis.pcall('HMGET', KEYS[1], 'd', 's', 'm')
if e.err then return 0 end
if not e[1] then
  redis.call('SET', KEYS[1], '1')
  redis.call('DEL', KEYS[1])
  return 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ttl = redis.call('PTTL', KEYS[1])
local window = 0
if e[3] then
  window = string.match(e[3], '^1 (%d+);')
  if not window and string.find(e[3], '^1 %-;') then window = '3155760000000' end
  window = tonumber(window or 0)
elseif e[2] and tonumber(e[2]) then
  window = -1
  if ttl >= 0 then window = math.min(ttl, math.max(0, now + ttl - tonumber(e[2]))) end
end
local s = tonumber(e[2] or now) or now
redis.call('HSET', KEYS[1], 's', string.format('%.0f', math.min(s, now)))
if window >= 0 and (ttl < 0 or window < ttl) then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', window)) end
return 1`);
