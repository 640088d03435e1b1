import { IN_STRING, PLACEHOLDER_BYTES } from "./present.ts";
import { announce, END_LEASE, REFUSED, script, SIGNAL, UNSTAGE, WATCH_COPY, type Script } from "./script.ts";

/** The steps of the string layout, where an entry is one string. Keys and last arguments as with hashes. */
const PRESENT = IN_STRING.present("''");

/** The instant of what never comes, in ms: all six bytes are ones. */
const NEVER = "281474976710655";

/** The clock of the server that has the key. Reads nothing. */
export const SERVER_TIME: Script = script(`return redis.call('TIME')`);

/**
 * ARGV[at] is the lifetime and ARGV[at + 1] the freshness, in ms, `''` for none; then comes the value, unless it is
 * staged. Its instants are put in here, unless they are in it: then the freshness is `=`. A refused write removes the
 * entry.
 */
export const putString = (at: number): string => `local life = ARGV[${at}]
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
${END_LEASE}
if not KEYS[3] then ${WATCH_COPY} end
${announce()}
return 1`;

/** Stores an entry over anything that is there. ARGV: lifetime, freshness, value. */
export const WRITE_STRING: Script = script(putString(1));

/** Does what {@link REMOVE} does, for strings: the first byte is that of an entry. */
export const REMOVE_STRING: Script = script(`redis.call('DEL', KEYS[2])
local bytes = redis.pcall('SETRANGE', KEYS[1], 0, '\\193')
redis.call('DEL', KEYS[1])
${announce()}
return type(bytes) == 'number' and bytes <= ${PLACEHOLDER_BYTES} and 0 or 1`);

/**
 * Gives an entry of the version ARGV[1] another life and meta. ARGV: version, lifetime, freshness, meta. Its value
 * stays where it is, unless the meta has another length: then Redis moves it.
 */
export const TOUCH_STRING: Script = script(`${PRESENT}
if was == '' or was == '-' or was == '!' or was ~= ARGV[1] then return 0 end
local at = 3 + #was
local length = redis.call('GETRANGE', KEYS[1], at + 12, at + 17)
local bytes = 2 + struct.unpack('>I2', length)
if bytes == 65537 then bytes = 6 + struct.unpack('>I4', length, 3) end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function instant(ms) return ms == '' and ${NEVER} or math.max(0, now + ms) end
local life = struct.pack('>I6I6', instant(ARGV[3]), instant(ARGV[2]))
local meta = struct.pack('>I2', math.min(#ARGV[4], 65535)) .. (#ARGV[4] < 65535 and '' or struct.pack('>I4', #ARGV[4]))
meta = meta .. ARGV[4]
if bytes == #meta then
  redis.call('SETRANGE', KEYS[1], at, life .. meta)
else
  local value = redis.call('GETRANGE', KEYS[1], at + 12 + bytes, -1)
  redis.call('SET', KEYS[1], string.sub(head, 1, at) .. life .. meta .. value)
end
if ARGV[2] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
${WATCH_COPY}
${announce()}
return 1`);

/**
 * Ends an entry's freshness: 1 when there was one. Both instants are in the value, before which stands another version
 * of the same length; what is left is its stale window, or less. The rest of the value stays where it is: Redis does
 * nothing else while it is copied into Lua. A placeholder is removed, and so is what this layout cannot read: others
 * may. So is an entry that is over by its own end, also where its TTL is longer.
 */
export const MARK_STRING_STALE: Script = script(`${PRESENT}
${END_LEASE}
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
if left == 0 then
  redis.call('DEL', KEYS[1])
  ${announce()}
  return 1
end
if left > 0 then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left)) else redis.call('PERSIST', KEYS[1]) end
local version = string.sub((#was < 16 and '' or 'stale-') .. redis.sha1hex(was), 1, #was)
redis.call('SETRANGE', KEYS[1], 3, version .. struct.pack('>I6I6', staleAt, endAt))
${announce()}
return 1`);
