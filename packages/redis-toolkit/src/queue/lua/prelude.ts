// The scripts of a queue. Each gets all keys of the queue as KEYS and the channel of its events as ARGV[1]; time is
// that of the server.
//
//                 add                       take                     complete
//     (nothing) ───────▶ waiting ◀──────────────────▶ active ─────────────────────▶ completed, or gone
//          │                ▲    lease ended, returned  │  │ no attempts left, unrecoverable
//          └──▶ delayed ────┘                           │  └──────────────────────▶ dead ──replay──▶ waiting
//                  ▲               retry                │
//                  └────────────────────────────────────┘
//
// A job is in exactly one of the five sorted sets; its record in `jobs` and its payload in `data` exist as long. Parts
// that may be large are other fields of `data`, such as `<id>/result`, and never decoded here. The record has the token
// of its last delivery until that is reported, or another one begins, even while it waits because its lease has ended.
//
// A full server refuses a script at its first write, if that write may take memory. So a script that produces draws a
// place in the order first, and is refused as a whole; all others begin with a removal, and are never refused.

/**
 * KEYS are those of KEY_NAMES, in its order. Comments stand here, since bundlers keep those of Lua.
 *
 * - `whole`: Lua writes numbers of more than 14 digits with an exponent
 * - `mayGrow`: a removal of nothing, after which a full server refuses no write of the script
 * - `publish`: a user without the right to publish must not end a script half way
 * - `has`: JSON of Lua reads numbers that it cannot write, such as 1e999
 * - `read`: the record and its text; none for a text that is not a record: other programs may write here, too
 * - `write`: never fails, even if another program has put something into the record meanwhile
 * - `line`: higher priorities are lower scores; within a priority the order counts
 * - `delay`: a worker has to learn that something is due sooner than it knows
 * - `holder`: the job that a dedup id stands for, if it is unfinished, or the end of the dedup id has not come
 * - `free`: of a job that is removed by a call
 * - `release`: of one that has ended: a dedup id with an end is kept until then
 * - `trim`: at most `count` jobs, none older than `age`; -1 stands for no bound
 */
const PRELUDE = `
local call = redis.call
local state, waiting, delayed, active, jobs, data = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local completed, dead, dedup, dedupEnds, wake = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local repeats, repeatsDue = KEYS[12], KEYS[13]
local sets = {waiting, delayed, active, completed, dead}
local channel = ARGV[1]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function whole(number) return string.format('%.0f', number) end

local function mayGrow() call('HDEL', state, '') end

local kinds = {
  attempt = 'number', attempts = 'number', priority = 'number', timeout = 'number', finishedAt = 'number',
  repeatAt = 'number', repeatKey = 'string', dedup = 'string', ofQueue = 'string', order = 'string', reason = 'string',
  keepCompleted = 'table', keepDead = 'table', backoff = 'table'
}
local pair, times = {'number', 'number'}, {baseMs = 'number', maxMs = 'number'}

local function has(record, kindOf)
  for name, value in pairs(record) do
    local kind = kindOf[name]
    if kind and (type(value) ~= kind or kind == 'number' and value - value ~= 0) then return false end
  end
  return true
end

local function isPair(bounds) return not bounds or bounds[1] and bounds[2] and has(bounds, pair) end

local function isRecord(job)
  if type(job) ~= 'table' or not (job.attempt and job.attempts and job.priority) then return false end
  if not has(job, kinds) or not tonumber(job.order or 0) then return false end
  if not isPair(job.keepCompleted) or not isPair(job.keepDead) then return false end
  local backoff = job.backoff
  if not backoff then return true end
  return (backoff.type == 'fixed' or backoff.type == 'exponential')
    and backoff.baseMs and backoff.maxMs and has(backoff, times)
end

local function read(id)
  local text = call('HGET', jobs, id)
  if not text then return nil, false end
  local isJson, job = pcall(cjson.decode, text)
  if isJson and isRecord(job) then return job, text end
  return nil, false
end

local function encode(job)
  local isJson, text = pcall(cjson.encode, job)
  return isJson and text
end

local function write(id, job)
  local rest = {attempt = job.attempt, attempts = job.attempts, priority = job.priority}
  call('HSET', jobs, id, encode(job) or cjson.encode(rest))
end

local function publish(kind, id, rest)
  redis.pcall('SPUBLISH', channel, '{"kind":"' .. kind .. '","id":"' .. id .. '"' .. rest .. '}')
end

local function draw() return call('HINCRBY', state, 'order', 1) end

local function line(id, priority, place) call('ZADD', waiting, whole((255 - priority) * 2 ^ 45 + place), id) end

local function isPaused() return call('HEXISTS', state, 'paused') == 1 end

local function wakeOne() call('ZADD', wake, 0, 'w') end

local function delay(id, ms)
  local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  call('ZADD', delayed, whole(now + ms), id)
  if not first[2] or now + ms < tonumber(first[2]) then wakeOne() end
end

local function holder(dedupId)
  local id, ends = call('HGET', dedup, dedupId), call('ZSCORE', dedupEnds, dedupId)
  local isHeld = id and call('HEXISTS', jobs, id) == 1
  if ends then isHeld = tonumber(ends) > now end
  return isHeld and id
end

local function hold(dedupId, id, ms)
  call('HSET', dedup, dedupId, id)
  if ms > 0 then call('ZADD', dedupEnds, whole(now + ms), dedupId)
  else call('ZREM', dedupEnds, dedupId) end
end

local function free(id, job)
  if not job.dedup or call('HGET', dedup, job.dedup) ~= id then return end
  call('HDEL', dedup, job.dedup)
  call('ZREM', dedupEnds, job.dedup)
end

local function release(id, job)
  if not job.dedupEnds then free(id, job) end
end

local function forget(id)
  call('HDEL', jobs, id)
  call('HDEL', data, id, id .. '/progress', id .. '/result', id .. '/error')
end

local function trim(set, count, age)
  local function drop(ids)
    for _, id in ipairs(ids) do
      call('ZREM', set, id)
      forget(id)
    end
  end
  if age >= 0 then drop(call('ZRANGEBYSCORE', set, '-inf', whole(now - age), 'LIMIT', 0, 100)) end
  local surplus = call('ZCARD', set) - count
  if count >= 0 and surplus > 0 then drop(call('ZRANGE', set, 0, math.min(surplus, 100) - 1)) end
end

local function keep(set, id, job, count, age, part, text)
  job.token = nil
  job.order = nil
  job.finishedAt = now
  release(id, job)
  if count == 0 then return forget(id) end
  write(id, job)
  if text ~= '' then call('HSET', data, id .. part, text) end
  call('ZADD', set, whole(now), id)
  trim(set, count, age)
end
`;

/** A function, so that bundlers do not write out the prelude for each script. */
export const scriptOf = (body: string): string => PRELUDE + body;

/**
 * `add(i)` of the job whose 7 arguments begin at ARGV[i]: record, payload, priority, delay in ms, dedup id or '', its
 * ms or 0, `onDuplicate`. Returns its id, or that of the job that has the same dedup id, and 1 if it was added, 2 if it
 * has replaced that one. Ids have one length: Redis sorts members of one score, such as jobs that are due in one
 * millisecond, by their bytes.
 */
export const ADD_ONE: string = `
local function add(i)
  local record, payload, priority, ms, dedupId, dedupFor, onDuplicate = unpack(ARGV, i, i + 6)
  ms, dedupFor = tonumber(ms), tonumber(dedupFor)
  local place = draw()
  local id, status = string.format('%.0f-%012.0f', now, place), 1
  if dedupId ~= '' then
    local former = holder(dedupId)
    if former and onDuplicate ~= 'replace' then
      if onDuplicate == 'extend' then call('ZADD', dedupEnds, 'XX', whole(now + dedupFor), dedupId) end
      return former, 0
    end
    if former and call('ZREM', waiting, former) + call('ZREM', delayed, former) > 0 then
      id, status = former, 2
      forget(id)
    end
    hold(dedupId, id, dedupFor)
  end
  call('HSET', jobs, id, record)
  call('HSET', data, id, payload)
  if ms > 0 then delay(id, ms)
  else
    line(id, priority, place)
    if not isPaused() then wakeOne() end
  end
  if status == 1 then publish('added', id, '') end
  return id, status
end

local function endDedups()
  for _, dedupId in ipairs(call('ZRANGEBYSCORE', dedupEnds, '-inf', whole(now), 'LIMIT', 0, 100)) do
    call('HDEL', dedup, dedupId)
    call('ZREM', dedupEnds, dedupId)
  end
end
`;
