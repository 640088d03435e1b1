import { announce, readAny, script, type Script } from "./script.ts";

/** Two halves of an id and a count: longer ones would fill the meta of every entry under them. */
export const MAX_VERSION_BYTES = 80;

/**
 * The issuer of one root namespace: a random id and a counter. A version is `id.n`, so that an issuer that was lost and
 * made anew repeats none, and no clock is compared. KEYS[1] is the issuer, the others are tags of its slot; ARGV[1] is
 * an id in case it is missing, ARGV[2] how long versions live, in ms. A value that cannot be a version, or an issuer,
 * counts as missing; so does a counter near the end of what Redis can count.
 */
const ISSUER = `local life = tonumber(ARGV[2])
local function prolong(key) if redis.call('PTTL', key) < life / 2 then redis.call('PEXPIRE', key, ARGV[2]) end end
local function version(key)
  ${readAny("v", "'GET', key")}
  if type(v) == 'string' and #v <= ${MAX_VERSION_BYTES} and string.find(v, '^[^|]+|[^|]+$') then return v end
end
local function issue(key, v)
  redis.call('SET', key, v, 'PX', ARGV[2])
  ${announce("key")}
  return v
end
${readAny("g", "'HMGET', KEYS[1], 'id', 'n'")}
`;
const WITH_ISSUER = `local isId = g[1] and #g[1] <= 16 and string.find(g[1], '^[%w_-]+$')
if not (isId and g[2] and #g[2] <= 15 and string.find(g[2], '^%d+$')) then
  if g.err then redis.call('DEL', KEYS[1]) end
  redis.call('HSET', KEYS[1], 'id', ARGV[1], 'n', '0')
  g = {ARGV[1], '0'}
end
prolong(KEYS[1])
`;

/** The current versions; a missing one is issued. Replies with the position of the issuer, then the versions. */
export const PIN: Script = script(`${ISSUER}${WITH_ISSUER}local at = g[1] .. '.' .. g[2]
local reply = {at}
for i = 2, #KEYS do
  local v = version(KEYS[i])
  if v then prolong(KEYS[i]) else v = issue(KEYS[i], at .. '|' .. at) end
  reply[i] = v
end
return reply`);

/**
 * New versions; ARGV[3] is `hard` or `soft`. An invalidation must not be refused when memory is full, so its first
 * write is a DEL, after which Redis lets the rest of the script through.
 */
export const RENEW: Script = script(`${ISSUER}local old = {}
for i = 2, #KEYS do old[i] = version(KEYS[i]) end
redis.call('DEL', KEYS[2])
${WITH_ISSUER}local v = g[1] .. '.' .. string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'n', 1))
for i = 2, #KEYS do
  local hard = ARGV[3] == 'soft' and old[i] and string.match(old[i], '^[^|]*') or v
  issue(KEYS[i], hard .. '|' .. v)
end
return v`);

/**
 * The versions of tags that a loader added late; ARGV[3] is the position of the issuer before the load. The version of
 * a tag that may have been renewed since is left empty. A missing one is issued nevertheless, so that the next load
 * finds it.
 */
export const UNCHANGED_SINCE: Script = script(`${ISSUER}${WITH_ISSUER}local at = g[1] .. '.' .. g[2]
local id, n = string.match(ARGV[3], '^(.*)%.(%d+)$')
local reply = {}
for i = 2, #KEYS do
  local v = version(KEYS[i])
  local ok = id == g[1]
  if v then
    prolong(KEYS[i])
    for part in string.gmatch(v, '[^|]+') do
      local pid, pn = string.match(part, '^(.*)%.(%d+)$')
      if ok and pid == id and tonumber(pn) > tonumber(n) then ok = false end
    end
  else
    v = issue(KEYS[i], at .. '|' .. at)
    ok = ok and at == ARGV[3]
  end
  reply[i - 1] = ok and v or ''
end
return reply`);
