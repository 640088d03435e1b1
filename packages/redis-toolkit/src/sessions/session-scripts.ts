// Each step of a session is one script over keys of one slot, by the clock of the server.
//
// A session is a hash. Its own fields have names of one letter:
//
//   u user    e epoch of the user    c created at    a last activity    x absolute end    i idle time    v version
//
// and each field of its data a name that begins with a dot, so neither meets the other. Instants and times are
// milliseconds. After `regenerate` with a grace, the old key is a hash with `to` alone: the handle of the new one.

const SHARED = `
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The session of a key as it is now, or what is there instead.
local function report(key, renewed)
  local fields = redis.pcall('HGETALL', key)
  if fields.err then return {'foreign', redis.call('GET', key), redis.call('PTTL', key)} end
  if #fields == 0 then return {'absent'} end
  if fields[1] == 'to' then return {'moved', fields[2]} end
  return {'session', clock(), redis.call('PTTL', key), renewed or 0, fields}
end

-- What the steps below need of a live session; nil if there is none.
local function held(key)
  local found = redis.pcall('HMGET', key, 'x', 'i', 'a', 'v')
  if found.err or not found[1] then return nil end
  return {ends = tonumber(found[1]), idle = tonumber(found[2]), active = tonumber(found[3]), version = found[4]}
end

-- Whether its end has to move: once a minute, or more often where it is idle for a short time only.
local function due(session, idle, now)
  local slack = math.min(60000, idle / 10)
  return now - session.active >= slack or math.abs(idle - session.idle) >= slack
end

-- The life first: with full memory Redis refuses a script whose first change may need some.
local function renew(key, ends, idle, now)
  redis.call('PEXPIRE', key, math.max(1, math.min(idle, ends - now)))
  redis.call('HSET', key, 'a', now, 'i', idle)
end
`;

/** KEYS: session. */
export const READ: string = `${SHARED}
return report(KEYS[1])`;

/**
 * A whole session. One that is there already is replaced, but keeps its begin and its absolute end.
 *
 * KEYS: session. ARGV: idle time, absolute time, user or '', epoch, then fields and values.
 */
export const CREATE: string = `${SHARED}
local now = clock()
local before = redis.pcall('HMGET', KEYS[1], 'c', 'x', 'v')
if before.err then before = {} end
local ends = before[2] or now + ARGV[2]
-- Not where there is none: with full memory Redis refuses a script only at its first change.
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'c', before[1] or now, 'x', ends, 'v', (before[3] or 0) + 1)
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'u', ARGV[3], 'e', ARGV[4]) end
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
renew(KEYS[1], ends, tonumber(ARGV[1]), now)
return report(KEYS[1], 1)`;

/** KEYS: session. ARGV: idle time, or '' for that of the session. */
export const TOUCH: string = `${SHARED}
local session = held(KEYS[1])
if not session then return report(KEYS[1]) end
local now = clock()
local idle = tonumber(ARGV[1]) or session.idle
if not due(session, idle, now) then return report(KEYS[1]) end
renew(KEYS[1], session.ends, idle, now)
return report(KEYS[1], 1)`;

/**
 * Changes fields of a session, if it is there.
 *
 * KEYS: session. ARGV: idle time or '', the version that it must have or '', user or '', epoch, how many fields are
 * set, these fields and values, then the fields that are removed.
 */
export const UPDATE: string = `${SHARED}
local session = held(KEYS[1])
if not session then return report(KEYS[1]) end
if ARGV[2] ~= '' and ARGV[2] ~= session.version then return {'conflict'} end
local now = clock()
local idle = tonumber(ARGV[1]) or session.idle
local last = 5 + 2 * ARGV[5]
for i = 6, last, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = last + 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'u', ARGV[3], 'e', ARGV[4]) end
redis.call('HINCRBY', KEYS[1], 'v', 1)
local isDue = due(session, idle, now)
renew(KEYS[1], session.ends, idle, now)
return report(KEYS[1], isDue and 1 or 0)`;

/**
 * Moves a session to another key of its slot. With a user it is a login: its times begin anew.
 *
 * KEYS: session, its new key. ARGV: grace, the new handle, user or '', epoch, absolute time.
 */
export const REGENERATE: string = `${SHARED}
local session = held(KEYS[1])
if not session then return report(KEYS[1]) end
local now = clock()
redis.call('RENAME', KEYS[1], KEYS[2])
local ends = session.ends
if ARGV[3] ~= '' then
  ends = now + ARGV[5]
  redis.call('HSET', KEYS[2], 'u', ARGV[3], 'e', ARGV[4], 'c', now, 'x', ends)
end
redis.call('HINCRBY', KEYS[2], 'v', 1)
renew(KEYS[2], ends, session.idle, now)
if ARGV[1] ~= '0' then
  redis.call('HSET', KEYS[1], 'to', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return report(KEYS[2], 1)`;

/** KEYS: session. Returns whether it was there, its user, and the handle that it moved to. */
export const REMOVE: string = `
local found = redis.pcall('HMGET', KEYS[1], 'u', 'to')
if found.err then found = {false, false} end
return {redis.call('UNLINK', KEYS[1]), found[1], found[2]}`;

/**
 * A session of another program, which is text, becomes a hash, unless it was changed meanwhile. It keeps its end.
 *
 * KEYS: session. ARGV: the text, idle time, absolute time, then fields and values.
 */
export const ADOPT: string = `${SHARED}
local text = redis.pcall('GET', KEYS[1])
if text ~= ARGV[1] then return 0 end
local left = redis.call('PTTL', KEYS[1])
local now = clock()
local ends = now + ARGV[3]
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'c', now, 'x', ends, 'v', 0)
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
renew(KEYS[1], ends, tonumber(ARGV[2]), now)
if left > 0 then redis.call('PEXPIRE', KEYS[1], math.min(left, ends - now)) end
return 1`;

/** How many sessions of one user its index names: those that end last. */
export const MAX_INDEXED = 1_000;

/**
 * The epoch of a user, made if there is none, and a session in its index.
 *
 * KEYS: epoch, index. ARGV: a new epoch, a handle, its idle time, how long both are kept.
 */
export const ENROL: string = `${SHARED}
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local now = clock()
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -${MAX_INDEXED + 1})
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < tonumber(ARGV[4]) then redis.call('PEXPIRE', key, ARGV[4]) end
end
return redis.call('GET', KEYS[1])`;

/** KEYS: epoch, index. Returns the epoch and the handles that have not ended. */
export const ROSTER: string = `${SHARED}
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', clock())
return {redis.call('GET', KEYS[1]), redis.call('ZRANGE', KEYS[2], 0, -1)}`;

/** Ends every session of a user: none has an epoch that is absent. KEYS: epoch, index. Returns the handles. */
export const EXPEL: string = `
local handles = redis.call('ZRANGE', KEYS[2], 0, -1)
redis.call('DEL', KEYS[1], KEYS[2])
return handles`;
