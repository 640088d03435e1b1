import { HAS_VERSION, HOLDER, MAX_LEASE_MS } from "./lease-scripts.ts";
import {
  announce,
  DISCARD,
  FREE,
  NO_LIFE,
  readAny,
  REFUSED,
  script,
  SIGNAL,
  UNSTAGE,
  WAKE,
  WATCH,
  type Script,
} from "./script.ts";

/**
 * The steps of the string layout. An entry is one string, and the lease of a missing one is a placeholder in its key;
 * KEYS[2] is the lease of an entry that is there. Keys and last arguments as in the scripts of hashes.
 *
 * An entry begins with `C1 01`, a placeholder with `C1 00`, and strings of other programs with neither: no
 * UTF-8 and no msgpack begins with `C1`.
 */
const ENTRY = "'\\193\\001'";
const PLACEHOLDER = "'\\193\\000'";

/** The instant of what never comes, in ms: all six bytes are ones. */
const NEVER = "281474976710655";

/** The bytes that hold the version of an entry, or the token of a placeholder. */
export const HEAD_BYTES = 67;

/**
 * Sets `was` to the version of the entry, as in the hash layout: `''` also for a placeholder, and `-` for another
 * string. Sets `holder` to the token of a placeholder.
 */
const PRESENT = `local was, holder = '', nil
${readAny("head", `'GETRANGE', KEYS[1], 0, ${HEAD_BYTES - 1}`)}
if type(head) == 'table' then
  was = '!'
elseif string.sub(head, 1, 2) == ${PLACEHOLDER} then
  holder = string.sub(head, 3)
elseif head ~= '' then
  was = '-'
  local bytes = string.byte(head, 3)
  if string.sub(head, 1, 2) == ${ENTRY} and bytes and bytes > 0 and bytes <= 32 then
    local version = string.sub(head, 4, 3 + bytes)
    if #version == bytes and string.find(version, '^[%w_-]+$') then was = version end
  end
end`;

/** The clock of the server that has the key. Reads nothing. */
export const SERVER_TIME: Script = script(`return redis.call('TIME')`);

/**
 * ARGV[at] is the lifetime and ARGV[at + 1] the freshness, in ms, `''` for none; then comes the value, unless it is
 * staged. Its instants are put in here, unless they are in it: then the freshness is `=`. A refused write removes the
 * entry.
 */
const put = (at: number, endLease = "redis.call('DEL', KEYS[2])"): string => `local life = ARGV[${at}]
if KEYS[3] then
  if redis.call('EXISTS', KEYS[3]) == 0 then return 2 end
  ${UNSTAGE}
  if life == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], life) end
else
  local reply
  if life == '' then
    reply = redis.pcall('SET', KEYS[1], ARGV[${at + 2}])
  else
    reply = redis.pcall('SET', KEYS[1], ARGV[${at + 2}], 'PX', life)
  end
  if reply.err then
    ${REFUSED}
  end
end
if ARGV[${at + 1}] ~= '=' then
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  local function instant(ms) return ms == '' and ${NEVER} or math.max(0, now + ms) end
  local times = struct.pack('>I6I6', instant(ARGV[${at + 1}]), instant(life))
  redis.call('SETRANGE', KEYS[1], 3 + string.byte(redis.call('GETRANGE', KEYS[1], 2, 2)), times)
end
${endLease}
if not KEYS[3] then ${WATCH} end
${announce()}
return 1`;

/** Stores an entry over anything that is there. ARGV: lifetime, freshness, value. */
export const WRITE_STRING: Script = script(put(1));

/** Removes an entry, its lease and a placeholder: 1 when there was an entry. */
export const REMOVE_STRING: Script = script(`${PRESENT}
redis.call('DEL', KEYS[2])
if redis.call('DEL', KEYS[1]) == 0 then
  ${SIGNAL}
end
${announce()}
return was == '' and 0 or 1`);

/**
 * Gives an entry of the version ARGV[1] another life and meta. ARGV: version, lifetime, freshness, meta. Its value
 * stays where it is, unless the meta has another length: then Redis moves it.
 */
export const TOUCH_STRING: Script = script(`${PRESENT}
if was == '' or was == '-' or was == '!' or was ~= ARGV[1] then return 0 end
local at = 3 + #was
local bytes = struct.unpack('>I2', redis.call('GETRANGE', KEYS[1], at + 12, at + 13))
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function instant(ms) return ms == '' and ${NEVER} or math.max(0, now + ms) end
local life = struct.pack('>I6I6I2', instant(ARGV[3]), instant(ARGV[2]), #ARGV[4]) .. ARGV[4]
if bytes == #ARGV[4] then
  redis.call('SETRANGE', KEYS[1], at, life)
else
  local value = redis.call('GETRANGE', KEYS[1], at + 14 + bytes, -1)
  redis.call('SET', KEYS[1], string.sub(head, 1, at) .. life .. value)
end
if ARGV[2] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
${WATCH}
${announce()}
return 1`);

/**
 * Ends an entry's freshness: 1 when there was one. Both instants are in the value, before which stands another version
 * of the same length; what is left is its stale window, or less. The rest of the value stays where it is: Redis does
 * nothing else while it is copied into Lua. A placeholder is removed, and so is what this layout cannot read: others
 * may. So is an entry that is over by its own end, also where its TTL is longer.
 */
export const MARK_STRING_STALE: Script = script(`${PRESENT}
redis.call('DEL', KEYS[2])
if was == '' or was == '-' or was == '!' then
  redis.call('DEL', KEYS[1])
  ${SIGNAL}
  ${announce()}
  return 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local times = string.sub(head, 4 + #was, 15 + #was)
local staleAt, endAt = 0, 0
if #times == 12 then staleAt, endAt = struct.unpack('>I6I6', times) end
if endAt <= now then
  redis.call('DEL', KEYS[1])
  ${SIGNAL}
  ${announce()}
  return 0
end
local left = redis.call('PTTL', KEYS[1])
if endAt < ${NEVER} then
  endAt = endAt - math.max(0, staleAt - now)
  if left < 0 or endAt - now < left then left = math.max(0, endAt - now) end
end
if staleAt > now then staleAt = now end
local version = string.sub(redis.sha1hex(was), 1, #was)
redis.call('SETRANGE', KEYS[1], 3, version .. struct.pack('>I6I6', staleAt, endAt))
if left >= 0 then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left)) end
${announce()}
return 1`);

/**
 * As ACQUIRE of the hash layout. A missing entry gets a placeholder, unless a refresh runs that began when it was
 * there; any other gets a lease beside it. ARGV[4] is `1` for a placeholder that was put there without a look at the
 * lease: it is kept, or removed. Replies `{2, entry, TIME}` with an entry of another version.
 *
 * ARGV[5] is `1` where the caller takes the entry as over: it counts as missing, and the placeholder replaces it.
 */
export const ACQUIRE_STRING: Script = script(`${PRESENT}
local isMine = holder == ARGV[1] and ARGV[4] == '1'
if ARGV[3] ~= '*' then
  if was ~= '' and was ~= '!' and was ~= ARGV[3] then return {2, redis.call('GET', KEYS[1]), redis.call('TIME')} end
  local left = redis.call('PTTL', holder and not isMine and KEYS[1] or KEYS[2])
  if left >= 0 and left <= ${MAX_LEASE_MS} then
    if isMine then
      redis.call('DEL', KEYS[1])
      ${WATCH}
    end
    return {0, left}
  end
end
if ARGV[5] == '1' and ${HAS_VERSION} then was = '' end
if was ~= '' then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
else
  if not isMine then redis.call('SET', KEYS[1], ${PLACEHOLDER} .. ARGV[1], 'PX', ARGV[2]) end
  redis.call('DEL', KEYS[2])
end
return {1, was}`);

/** Prolongs a lease, or a placeholder: 1 when it is held. ARGV: token, its life in ms. */
export const RENEW_STRING: Script = script(`${HOLDER}
if lease == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
${PRESENT}
if holder ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`);

/**
 * Also where it is a placeholder, the writer is pushed the end of its lease, which it has to read for that, behind the
 * entry. Not where no read of the entry follows.
 */
const END_LEASE = `if isPlaceholder and not KEYS[3] then
  redis.call('PTTL', KEYS[2])
  redis.call('SET', KEYS[2], '1')
end
redis.call('DEL', KEYS[2])`;

/**
 * As STORE of the hash layout. ARGV: token, the version that the lease was granted over, lifetime, freshness, value.
 */
export const STORE_STRING: Script = script(`${PRESENT}
local isPlaceholder = holder == ARGV[1]
if not isPlaceholder then
  ${HOLDER}
  if lease ~= ARGV[1] then
    ${DISCARD}
    return 0
  end
end
if was ~= ARGV[2] or holder and not isPlaceholder then
  ${DISCARD}
  redis.call('DEL', KEYS[2])
  if isPlaceholder then redis.call('DEL', KEYS[1]) end
  ${WAKE}
  return 0
end
${NO_LIFE}
${put(3, END_LEASE)}`);

/** Ends a lease, or removes a placeholder: 1 when it was held. ARGV: token. */
export const RELEASE_STRING: Script = script(`${PRESENT}
if holder == ARGV[1] then
  redis.call('DEL', KEYS[1])
  ${announce()}
  return 1
end
${HOLDER}
if lease ~= ARGV[1] then return 0 end
${FREE}
return 1`);
