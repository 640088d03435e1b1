import { PLACEHOLDER, versionOf } from "./present.ts";
import { announce, END_LEASE, IS_BARE, put, readAny, script, SPARE, WAKE, WATCH_COPY, type Script } from "./script.ts";

/** Stores an entry. ARGV: lifetime, fields and values, as {@link put} takes them. */
export const WRITE: Script = script(`${SPARE}
${put(1)}`);

/**
 * Removes an entry, its lease and a placeholder: 1 when there was an entry. The HSET makes sure that there is a change
 * to push, and shows whether there was a value; a string, such as a placeholder, refuses it. Neither it nor GETEX is a
 * read, so Redis remembers no key. GETEX alone would count each removal of an entry in the error statistics of Redis.
 */
export const REMOVE: Script = script(`${SPARE}
redis.call('DEL', KEYS[2])
local new = redis.pcall('HSET', KEYS[1], 'd', '')
local held = type(new) == 'table' and redis.pcall('GETEX', KEYS[1])
redis.call('DEL', KEYS[1])
${announce()}
return (new == 1 or type(held) == 'string' and string.sub(held, 1, 2) == ${PLACEHOLDER}) and 0 or 1`);

/** Sets `t` to the time of Redis, and `now` to it in epoch ms. */
const NOW = `local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)`;

/**
 * Gives an entry another life and meta, if its version is ARGV[1]; `?` compares nothing, and wants one that is fresh by
 * an instant in `s` (the plain layout). ARGV[2]: lifetime, then fields and values. Its value stays where it is, and so
 * does a lease.
 */
export const TOUCH: Script = script(`${readAny("s", "'HGET', KEYS[1], 's'")}
if type(s) == 'table' then return 0 end
if ARGV[1] ~= '?' then
  if not s or ${versionOf("s")} ~= ARGV[1] then return 0 end
else
  ${NOW}
  if s and (string.find(s, ' ', 1, true) or (tonumber(s) or now + 1) <= now) then return 0 end
  if not redis.call('HGET', KEYS[1], 'd') then return 0 end
end
if #ARGV > 4 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 3, #ARGV - 2))
else
  redis.call('HDEL', KEYS[1], 's')
end
if ARGV[2] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
${WATCH_COPY}
${announce()}
return 1`);

/**
 * Ends an entry's freshness: 1 when there was one. Its lifetime is cut to its stale window, which is in `s`; where that
 * is an instant, the time between it and the end. That comes first: full memory refuses the HSET of a script that has
 * changed nothing. A version is replaced: a process that has just written it, and confirms that it is still the same,
 * must not take it for fresh. An entry of the string layout is removed: others may read it; that layout needs a prefix,
 * so without one such bytes are those of another program.
 *
 * The value stays where it is: Redis does nothing else while it is copied into Lua. Only an empty one is looked at.
 */
export const MARK_STALE: Script = script(`${readAny("s", "'HGET', KEYS[1], 's'")}
${END_LEASE}
local isOther = type(s) == 'table'
if isOther or redis.call('HSTRLEN', KEYS[1], 'd') == 0 and not redis.call('HGET', KEYS[1], 'd') then
  if isOther and not (${IS_BARE}) and redis.pcall('GETRANGE', KEYS[1], 0, 0) == '\\193' then
    redis.call('DEL', KEYS[1])
  end
  ${WAKE}
  return 0
end
${NOW}
local ttl = redis.call('PTTL', KEYS[1])
local head, version, meta = string.match(s or '', '^([%d-]+ )([%w_-]+)([;,.].*)$')
local staleAt = not head and s and tonumber(s)
if staleAt ~= staleAt then staleAt = nil end
local window = 0
if head then
  window = head == '- ' and 3155760000000 or math.min(tonumber(head) or 0, 9007199254740991)
elseif staleAt then
  window = -1
  if ttl >= 0 then window = math.min(ttl, math.max(0, now + ttl - staleAt)) end
end
if window >= 0 and (ttl < 0 or window < ttl) then ttl = window end
if ttl == 0 then
  redis.call('DEL', KEYS[1])
  ${announce()}
  return 1
end
if ttl > 0 then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl)) else redis.call('PERSIST', KEYS[1]) end
if head then
  s = head .. 'stale-' .. string.sub(redis.sha1hex(version), 1, 10) .. meta
else
  s = string.format('%.0f', math.max(0, math.min(staleAt or now, now)))
end
redis.call('HSET', KEYS[1], 's', s)
${announce()}
return 1`);
