import { PLACEHOLDER, versionOf } from "./present.ts";
import {
  announce,
  END_LEASE,
  IS_BARE,
  put,
  readAny,
  script,
  SIGNAL,
  SPARE,
  WAKE,
  WATCH_COPY,
  type Script,
} from "./script.ts";

/** Stores an entry. ARGV: lifetime, fields and values, as {@link put} takes them. */
export const WRITE: Script = script(`${SPARE}
${put(1)}`);

/**
 * Removes an entry, its lease and a placeholder: 1 when there was an entry. Its DEL is the change that is pushed. The
 * lease goes first, so that its holder cannot store in between. An HDEL of nothing tells an entry from a string, such
 * as a placeholder; neither it nor GETEX is a read, so Redis remembers no key. GETEX alone would count each removal of
 * an entry in the error statistics of Redis.
 */
export const REMOVE: Script = script(`${SPARE}
redis.call('DEL', KEYS[2])
local held = redis.pcall('HDEL', KEYS[1], '')
if type(held) == 'table' then held = redis.pcall('GETEX', KEYS[1]) end
local n = redis.call('DEL', KEYS[1])
if n == 0 then
  ${SIGNAL}
end
${announce()}
return type(held) == 'string' and string.sub(held, 1, 2) == ${PLACEHOLDER} and 0 or n`);

/**
 * Gives an entry another life and meta, if its version is ARGV[1]; `?` compares nothing, and wants one that is fresh by
 * `s` (the plain layout). ARGV[2]: lifetime, then fields and values. Its value stays where it is, and so does a lease.
 */
export const TOUCH: Script = script(`${readAny("e", "'HMGET', KEYS[1], 's', 'm', 'w'")}
if e.err then return 0 end
if ARGV[1] ~= '?' then
  if ${versionOf("e[2]", "e[3]")} ~= ARGV[1] then return 0 end
else
  local t = redis.call('TIME')
  local s = e[1] and tonumber(e[1])
  if s and s <= t[1] * 1000 + math.floor(t[2] / 1000) or not redis.call('HGET', KEYS[1], 'd') then return 0 end
end
if ARGV[3] ~= 's' then redis.call('HDEL', KEYS[1], 's', 'w') end
if #ARGV > 4 then redis.call('HSET', KEYS[1], unpack(ARGV, 3, #ARGV - 2)) end
if ARGV[2] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
${WATCH_COPY}
${announce()}
return 1`);

/**
 * Ends an entry's freshness: 1 when there was one. Its lifetime is cut to its stale window, which is in the head of
 * `m`, or in an entry without `m` the time between `s` and its end. That comes first: full memory refuses the HSET of a
 * script that has changed nothing. A version is replaced: a process that has just written it, and confirms that it is
 * still the same, must not take it for fresh. An entry of the string layout is removed: others may read it; that layout
 * needs a prefix, so without one such bytes are those of another program.
 *
 * The value stays where it is: Redis does nothing else while it is copied into Lua. Only an empty one is looked at.
 */
export const MARK_STALE: Script = script(`${readAny("e", "'HMGET', KEYS[1], 's', 'm', 'w'")}
${END_LEASE}
if e.err or redis.call('HSTRLEN', KEYS[1], 'd') == 0 and not redis.call('HGET', KEYS[1], 'd') then
  if e.err and not (${IS_BARE}) and redis.pcall('GETRANGE', KEYS[1], 0, 0) == '\\193' then redis.call('DEL', KEYS[1]) end
  ${WAKE}
  return 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ttl = redis.call('PTTL', KEYS[1])
local s = e[1] and tonumber(e[1])
if s ~= s then s = nil end
local window = 0
if e[2] then
  window = string.match(e[2], '^1 ([%d-]+);') or string.match(e[2], '^2 ([%d-]+) ')
  if window == '-' then window = '3155760000000' end
  window = math.min(tonumber(window or 0), 9007199254740991)
elseif s then
  window = -1
  if ttl >= 0 then window = math.min(ttl, math.max(0, now + ttl - s)) end
end
if window >= 0 and (ttl < 0 or window < ttl) then ttl = window end
if ttl == 0 then
  redis.call('DEL', KEYS[1])
  ${announce()}
  return 1
end
if ttl > 0 then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl)) else redis.call('PERSIST', KEYS[1]) end
local function marked(of) return 'stale-' .. string.sub(redis.sha1hex(of), 1, 10) end
local head, version, meta = string.match(e[2] or '', '^(2 [%d-]+ )([%w_-]+)([;,.].*)$')
if head then redis.call('HSET', KEYS[1], 'm', head .. marked(version) .. meta) end
if e[1] or not head then
  redis.call('HSET', KEYS[1], 's', string.format('%.0f', math.max(0, math.min(s or now, now))))
end
if e[3] then redis.call('HSET', KEYS[1], 'w', marked(e[3])) end
${announce()}
return 1`);
