import { announce, readAny, script, type Script } from "./script.ts";

/** Two halves of an id and a count: longer ones would fill the meta of every entry under them. */
export const MAX_VERSION_BYTES = 80;

/**
 * So many renewals are remembered in the issuer, in a field `r` for each: `n=` and six hex digits of SHA-1 of each tag.
 * With eight tags in each it stays a listpack, below 10 kB. Two tags of one name cost an entry that is not stored.
 */
const LOG_RECORDS = 128;
/** A call with more tags takes more numbers, each with a record. */
const NAMES_PER_RECORD = 8;

/**
 * The issuer of one root namespace: a random id and a counter. A version is `id.n`, so that an issuer that was lost and
 * made again repeats none, and no clock is compared. KEYS[1] is the issuer, the others are tags of its slot; ARGV[1] is
 * an id in case it is missing, ARGV[2] how long versions live, in ms. A value that cannot be a version, or an issuer,
 * counts as missing; so does a counter near the end of what Redis can count.
 *
 * Redis 7.0 remembers all keys of a script once more with each read in it, so versions are read by one MGET, and their
 * lives by a PEXPIRE that changes nothing where more than half is left. It counts as a write, after which full memory
 * refuses no other: missing versions are issued before it.
 */
const ISSUER = `local half = string.format('%.0f', ARGV[2] / 2)
local function prolong(key)
  if redis.call('PEXPIRE', key, half, 'GT') == 1 then redis.call('PEXPIRE', key, ARGV[2]) end
end
local there = redis.call('MGET', unpack(KEYS, 2))
for i, v in ipairs(there) do
  if v and (#v > ${MAX_VERSION_BYTES} or not string.find(v, '^[^|]+|[^|]+$')) then there[i] = false end
end
local function name(key) return string.sub(redis.sha1hex(key), 1, 6) end
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
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
`;
/** At the end: it counts as a write. */
const PROLONG = `prolong(KEYS[1])
for i, v in ipairs(there) do if v then prolong(KEYS[i + 1]) end end`;

/** The current versions; a missing one is issued. Replies with the position of the issuer, then the versions. */
export const PIN: Script = script(`${ISSUER}${WITH_ISSUER}local at = g[1] .. '.' .. g[2]
local reply = {at}
for i = 2, #KEYS do
  reply[i] = there[i - 1] or issue(KEYS[i], at .. '|' .. at)
end
${PROLONG}
return reply`);

/**
 * New versions; ARGV[3] is `hard` or `soft`. Every number that the counter passes has its record. An
 * invalidation must not be refused when memory is full, so its first write is a DEL, after which Redis lets the rest of
 * the script through.
 */
export const RENEW: Script = script(`${ISSUER}redis.call('DEL', KEYS[2])
${WITH_ISSUER}prolong(KEYS[1])
local n
for i = 2, #KEYS, ${NAMES_PER_RECORD} do
  n = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'n', 1))
  local names = {}
  for j = i, math.min(i + ${NAMES_PER_RECORD - 1}, #KEYS) do names[#names + 1] = name(KEYS[j]) end
  redis.call('HSET', KEYS[1], 'r' .. n % ${LOG_RECORDS}, n .. '=' .. table.concat(names))
end
local v = g[1] .. '.' .. n
for i = 2, #KEYS do
  local old = there[i - 1]
  local hard = ARGV[3] ~= 'hard' and old and string.match(old, '^[^|]*') or v
  issue(KEYS[i], hard .. '|' .. v)
end
return v`);

/**
 * The versions of tags that a loader added late; ARGV[3] is the position of the issuer before the load. The version of
 * a tag that may have been renewed since is left empty: one with a newer number, or that is missing, unless the records
 * of all numbers since are there and do not name it. A missing one is issued in any case, so that the next load finds
 * it. A number without its record was overwritten.
 */
export const UNCHANGED_SINCE: Script = script(`${ISSUER}${WITH_ISSUER}local at = g[1] .. '.' .. g[2]
local id, n = string.match(ARGV[3], '^(.*)%.(%d+)$')
local renewed
local function isRenewed(key)
  if not renewed then
    renewed = {}
    local from, to = tonumber(n), tonumber(g[2])
    if to - from > ${LOG_RECORDS} or to < from then renewed['*'] = true end
    local fields = {}
    if not renewed['*'] then for m = from + 1, to do fields[#fields + 1] = 'r' .. m % ${LOG_RECORDS} end end
    local records = #fields > 0 and redis.call('HMGET', KEYS[1], unpack(fields)) or {}
    for i, record in ipairs(records) do
      local m, names = string.match(record or '', '^(%d+)=(%x+)$')
      if tonumber(m) ~= from + i then renewed['*'] = true
      else for each in string.gmatch(names, '%x%x%x%x%x%x') do renewed[each] = true end end
    end
  end
  return renewed['*'] or renewed[name(key)]
end
local reply = {}
for i = 2, #KEYS do
  local v = there[i - 1]
  local ok = id == g[1]
  if v then
    for part in string.gmatch(v, '[^|]+') do
      local pid, pn = string.match(part, '^(.*)%.(%d+)!?$')
      if ok and pid == id and tonumber(pn) > tonumber(n) and isRenewed(KEYS[i]) then ok = false end
    end
  else
    v = issue(KEYS[i], at .. '|' .. at)
    ok = ok and not isRenewed(KEYS[i])
  end
  reply[i - 1] = ok and v or ''
end
${PROLONG}
return reply`);
