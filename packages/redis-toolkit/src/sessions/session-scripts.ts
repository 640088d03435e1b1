// Each step of a session is one command, or one script, over keys of one slot, by the clock of the server.
//
// A session is a hash. Its own fields have names of one letter:
//
//   u user    e epoch of the user    c created at    a last activity    x absolute end    i idle time    v version
//
// and each field of its data a name that begins with a dot, so neither meets the other. Instants and times are
// milliseconds. Its life in Redis always ends at the earlier one of a + i and x.
//
// After `regenerate` the old key is a hash of two fields: `to`, the handle of the new one, and `g`, when its grace ends.
// Until then the old id reaches the session; for a minute more it only says that it has moved. States of an id:
//
//   never was ──create──▶ live ──regenerate──▶ moved ──grace──▶ late ──a minute──▶ never was
//                          └───destroy, or its life ends─────────────────────────────▲
//
// With full memory Redis refuses a script at its first change, if that may need memory, and lets the others pass: so
// the order of changes decides which steps work then.

/** How long an id that has moved is known as such after its grace: longer than a request is on its way. */
export const MOVED_MS = 60_000;

const CLOCK = `
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

/** The answer of a step about the session of a key, or about what is there instead. */
const REPORT = `
local function report(key, renewed)
  local fields = redis.pcall('HGETALL', key)
  if fields.err then return {'foreign', redis.call('GET', key)} end
  if #fields == 0 then return {'absent'} end
  if fields[1] == 'to' or fields[1] == 'g' then
    local moved = redis.call('HMGET', key, 'to', 'g')
    return {'moved', moved[1], moved[2] and clock() >= tonumber(moved[2]) and 1 or 0}
  end
  return {'session', renewed, fields}
end
`;

/** The state of a live session, for the steps below; nil if there is none. */
const HELD = `
local function held(key)
  local found = redis.pcall('HMGET', key, 'x', 'i', 'a', 'v', 'c', 'u', 'e')
  if found.err or not found[1] then return nil end
  return {
    ends = tonumber(found[1]), idle = tonumber(found[2]), active = tonumber(found[3]), version = found[4],
    began = found[5], user = found[6], epoch = found[7],
  }
end

local function life(ends, idle, now)
  return math.max(1, math.min(idle, ends - now))
end

-- Whether its end has to move: once a minute, or more often where it is idle for a short time only.
local function due(session, idle, now)
  local slack = math.min(60000, idle / 10)
  return now - session.active >= slack or math.abs(idle - session.idle) >= slack
end
`;

/** The answer for a session that was found: with its data, or without, where the caller has them. */
const ANSWER = `
local function answer(key, session, renewed, mode)
  if mode == 'data' then return report(key, renewed) end
  local own = {
    'c', session.began, 'a', tostring(session.active), 'x', tostring(session.ends), 'i', tostring(session.idle),
    'v', tostring(session.version),
  }
  -- The last two, since a list ends for Redis at its first nil.
  if session.user then own[11], own[12], own[13], own[14] = 'u', session.user, 'e', session.epoch end
  return {'session', renewed, own}
end
`;

const STEP = CLOCK + REPORT + HELD + ANSWER;

/** For a key that holds another type than a session does, or has moved. KEYS: session. */
export const EXAMINE: string = `${CLOCK + REPORT}
return report(KEYS[1], 0)`;

/**
 * A whole session. One that is there already is replaced, but keeps its begin and its absolute end.
 *
 * KEYS: session. ARGV: idle time, absolute time, then fields and values. The answer is without the data.
 */
export const CREATE: string = `${CLOCK}
local now = clock()
local before = redis.pcall('HMGET', KEYS[1], 'c', 'x', 'v', 'to')
if before.err then before = {true} end
local began, ends, version = before[2] and before[1] or now, before[2] or now + ARGV[2], (before[3] or 0) + 1
if before[1] or before[4] then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'c', began, 'a', now, 'x', ends, 'i', ARGV[1], 'v', version)
for i = 3, #ARGV, 1000 do redis.call('HSET', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV))) end
redis.call('PEXPIRE', KEYS[1], math.max(1, math.min(ARGV[1], ends - now)))
local meta = {'c', tostring(began), 'a', tostring(now), 'x', tostring(ends), 'i', ARGV[1], 'v', tostring(version)}
return {'session', 1, meta}`;

/** KEYS: session. ARGV: 'data' or 'own' for the answer, idle time, or '' for that of the session. */
export const TOUCH: string = `${STEP}
local session = held(KEYS[1])
if not session then return report(KEYS[1], 0) end
local now = clock()
local idle = tonumber(ARGV[2]) or session.idle
if not due(session, idle, now) then return answer(KEYS[1], session, 0, ARGV[1]) end
redis.call('PEXPIRE', KEYS[1], life(session.ends, idle, now))
redis.call('HSET', KEYS[1], 'a', now, 'i', idle)
session.active, session.idle = now, idle
return answer(KEYS[1], session, 1, ARGV[1])`;

/**
 * Changes fields of a session, if it is there.
 *
 * KEYS: session. ARGV: 'data' or 'own' for the answer, idle time or '', the version that it must have or '', user or
 * '', epoch, how many arguments are fields and values to set, these, then the fields that are removed.
 */
export const UPDATE: string = `${STEP}
local session = held(KEYS[1])
if not session then return report(KEYS[1], 0) end
if ARGV[3] ~= '' and ARGV[3] ~= session.version then return {'conflict'} end
local now = clock()
local idle = tonumber(ARGV[2]) or session.idle
local isDue = due(session, idle, now)
local last = 6 + ARGV[6]
session.active, session.idle, session.version = now, idle, session.version + 1
redis.call('HSET', KEYS[1], 'a', now, 'i', idle, 'v', session.version)
for i = 7, last, 1000 do redis.call('HSET', KEYS[1], unpack(ARGV, i, math.min(i + 999, last))) end
for i = last + 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
if ARGV[4] ~= '' then
  session.user, session.epoch = ARGV[4], ARGV[5]
  redis.call('HSET', KEYS[1], 'u', ARGV[4], 'e', ARGV[5])
end
redis.call('PEXPIRE', KEYS[1], life(session.ends, idle, now))
return answer(KEYS[1], session, isDue and 1 or 0, ARGV[1])`;

/**
 * Moves a session to another key of its slot. With a user it is a login: its times begin again.
 *
 * KEYS: session, its new key. ARGV: grace, the new handle, user or '', epoch, absolute time.
 */
export const REGENERATE: string = `${STEP}
local session = held(KEYS[1])
if not session then return report(KEYS[1], 0) end
local now = clock()
redis.call('RENAME', KEYS[1], KEYS[2])
local ends = session.ends
if ARGV[3] ~= '' then
  ends = now + ARGV[5]
  redis.call('HSET', KEYS[2], 'u', ARGV[3], 'e', ARGV[4], 'c', now, 'x', ends)
end
redis.call('HSET', KEYS[2], 'a', now, 'v', session.version + 1)
redis.call('PEXPIRE', KEYS[2], life(ends, session.idle, now))
redis.call('HSET', KEYS[1], 'to', ARGV[2], 'g', now + ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1] + ${MOVED_MS})
return report(KEYS[2], 1)`;

/**
 * Marks an id without a session as moved to one that has begun in its place, so that other requests with it begin no
 * further ones.
 *
 * KEYS: session. ARGV: the new handle, and the handle that may be replaced, or ''. Returns 1, or the handle that it is
 * marked with.
 */
export const CLAIM: string = `
local found = redis.pcall('HMGET', KEYS[1], 'x', 'to')
if found.err or found[1] then return 1 end
if found[2] and found[2] ~= ARGV[2] then return found[2] end
redis.call('HSET', KEYS[1], 'to', ARGV[1], 'g', 0)
redis.call('PEXPIRE', KEYS[1], ${MOVED_MS})
return 1`;

/**
 * Ends what a key holds, a session or where it has moved. In one step with the mark that takes its place: of two simultaneous
 * logins the later one finds the session of the former.
 *
 * KEYS: session. ARGV: the handle that the id leads to from now on, or ''. Returns whether something was there, its user,
 * the user's epoch in it, and the handle that the id has led to until now.
 */
export const REMOVE: string = `
local found = redis.pcall('HMGET', KEYS[1], 'u', 'e', 'to')
if found.err then found = {false, false, false} end
local removed = redis.call('UNLINK', KEYS[1])
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], 'to', ARGV[1], 'g', 0)
  redis.call('PEXPIRE', KEYS[1], ${MOVED_MS})
end
return {removed, unpack(found)}`;

/**
 * A session of another program, which is text, becomes a hash, unless it was changed meanwhile. It keeps its end: its
 * last activity was when the program gave it a whole idle time.
 *
 * KEYS: session. ARGV: the text, idle time, absolute time, then fields and values.
 */
export const ADOPT: string = `${CLOCK}
local text = redis.pcall('GET', KEYS[1])
if text ~= ARGV[1] then return 0 end
local now = clock()
local left = redis.call('PTTL', KEYS[1])
if left < 0 then left = ARGV[2] end
left = math.min(left, ARGV[3])
local idle = math.max(left, ARGV[2])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'c', now, 'a', now + left - idle, 'x', now + ARGV[3], 'i', idle, 'v', 0)
for i = 4, #ARGV, 1000 do redis.call('HSET', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV))) end
redis.call('PEXPIRE', KEYS[1], left)
return 1`;

/** How many sessions of one user its index names: those that end last. */
const MAX_INDEXED = 1_000;

/**
 * The epoch of a user, made if there is none, and a session in its index.
 *
 * KEYS: epoch, index. ARGV: a new epoch, a handle, its idle time, how long both are kept.
 */
export const ENROL: string = `${CLOCK}
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
export const ROSTER: string = `${CLOCK}
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', clock())
return {redis.call('GET', KEYS[1]), redis.call('ZRANGE', KEYS[2], 0, -1)}`;

/** KEYS: epoch, index. ARGV: the handle of a session that was removed. Returns the epoch. */
export const STRIKE: string = `
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('GET', KEYS[1])`;

/** Ends every session of a user: none has an epoch that is absent. KEYS: epoch, index. Returns the handles. */
export const EXPEL: string = `
local handles = redis.call('ZRANGE', KEYS[2], 0, -1)
redis.call('DEL', KEYS[1], KEYS[2])
return handles`;

/**
 * Removes what a key holds, unless that is the session of another user by now: it stays in the index of the former one.
 *
 * KEYS: session. ARGV: user. Returns whether something was removed.
 */
export const END: string = `
local found = redis.pcall('HMGET', KEYS[1], 'u')
if not found.err and found[1] and found[1] ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])`;
