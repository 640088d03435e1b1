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
// A delivery counts when its handler begins. `take` adds 1 to `attempt` and sets the end of the lease, a whole number
// of milliseconds. Before handlers begin their worker adds a half to it. A lease that ends without that half was never
// used, so `reclaim` subtracts the 1 again (`counted` is false then, in case the worker reports the job after all).
//
// Jobs of one `dedup` id run one after another, and so many of one group. A job that `take` meets before its turn is
// parked: it stays in `waiting`, behind all that may run, and the index `parked` has it under the key of its turn, in
// its order. When a turn ends, the next one of its key goes back to its place.
//
// The parent of a flow is in `delayed`, behind all instants, until its last child has ended; `awaits` of its record counts
// those that have not. The script that ends a child counts it, stores its outcome in `<parent>/children`, a line of JSON
// for each, and lets the parent go: so no step lies between them.
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
 * - `jsonOf`: a part of an event; a large one would fill the buffers of all who listen, so its size stands for it
 * - `read`: the record and its text; none for a text that is not a record: other programs may write here, too
 * - `write`: never fails, even if another program has put something into the record meanwhile
 * - `line`: higher priorities are lower scores; within a priority the order counts
 * - `delay`: a worker has to learn that something is due sooner than it knows
 * - `holder`: the job that a dedup id stands for, if it is unfinished, or the end of the dedup id has not come
 * - `free`: of a job that is removed by a call
 * - `release`: of one that has ended: a dedup id with an end is kept until then
 * - `trim`: at most `count` jobs, none older than `age`; -1 stands for no bound
 * - `turnKeys`: what a job waits for, each with its length before it, so no key is the beginning of another
 * - `unpark`: of a job that leaves its place; `unparkNext`: the next one of a key goes back to its place
 * - `passOn`: of a job that leaves `waiting` otherwise than to a worker: its turn may have come, and is that of the next
 *   one. If its turn is not over for another reason, that one is parked again
 * - `endChild`: of a job that has a parent, once: one that is added again from the dead letters has none. Another job may
 *   have the id of the parent by now, which has another `flow`
 * - `leaveGroup`: the ids that run are a text, so that one that was lost is found, see `hasRoom`
 */
const PRELUDE = `
local call = redis.call
local state, waiting, delayed, active, jobs, data = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local completed, dead, dedup, dedupEnds, wake = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local repeats, repeatsDue, parked, added = KEYS[12], KEYS[13], KEYS[14], KEYS[15]
local parkedAt = 2 ^ 60
local awaitedAt = 2 ^ 52
local sets = {waiting, delayed, active, completed, dead}
local channel = ARGV[1]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function whole(number) return string.format('%.0f', number) end

local function mayGrow() call('HDEL', state, '') end

local kinds = {
  attempt = 'number', attempts = 'number', priority = 'number', timeout = 'number', finishedAt = 'number',
  repeatAt = 'number', repeatKey = 'string', dedup = 'string', ofQueue = 'string', order = 'string', reason = 'string',
  keepCompleted = 'table', keepDead = 'table', backoff = 'table', counted = 'boolean', parked = 'string',
  group = 'string', latest = 'boolean', addedAt = 'number', name = 'string', lifo = 'boolean', parent = 'string', awaits = 'number', runsAnyway = 'boolean',
  flow = 'number'
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

local function jsonOf(name, text)
  if text == '' then return '' end
  if #text <= 8192 then return ',"' .. name .. '":' .. text end
  return ',"' .. name .. 'Bytes":' .. #text
end

local function draw() return call('HINCRBY', state, 'order', 1) end

local function line(id, job, place)
  call('ZADD', waiting, whole((255 - job.priority) * 2 ^ 45 + (job.lifo and -place or place)), id)
end

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

local function dedupTurn(dedupId) return #dedupId + 1 .. ':d' .. dedupId .. ':' end

local function groupTurn(group) return #group + 1 .. ':g' .. group .. ':' end

local function unpark(job)
  if not job.parked then return end
  call('ZREM', parked, job.parked)
  job.parked = nil
end

local function unparkNext(turn)
  while true do
    local member = call('ZRANGEBYLEX', parked, '[' .. turn, '(' .. string.sub(turn, 1, -2) .. ';', 'LIMIT', 0, 1)[1]
    if not member then return end
    call('ZREM', parked, member)
    local id = string.sub(member, #turn + 19)
    local job = read(id)
    if job and job.parked == member and call('ZSCORE', waiting, id) then
      job.parked = nil
      write(id, job)
      call('ZADD', waiting, job.order or 0, id)
      if not isPaused() then wakeOne() end
      return
    end
  end
end

local function endTurn(id, job)
  unpark(job)
  if not job.dedup or call('HGET', state, 'turn:' .. job.dedup) ~= id then return end
  call('HDEL', state, 'turn:' .. job.dedup)
  unparkNext(dedupTurn(job.dedup))
end

local function passOn(job)
  if job.parked then return unpark(job) end
  if job.group then unparkNext(groupTurn(job.group)) end
  if job.dedup and call('HEXISTS', state, 'turn:' .. job.dedup) == 0 then unparkNext(dedupTurn(job.dedup)) end
end

local function leaveGroup(id, job)
  if not job.group then return end
  local field, others = 'group:' .. job.group, {}
  for one in string.gmatch(call('HGET', state, field) or '', '%S+') do
    if one ~= id then others[#others + 1] = one end
  end
  if #others == 0 then call('HDEL', state, field) else call('HSET', state, field, table.concat(others, ' ')) end
  unparkNext(groupTurn(job.group))
end

local function release(id, job)
  if job.dedup and not job.dedupEnds and call('HGET', dedup, job.dedup) == id then
    call('HDEL', dedup, job.dedup)
    call('ZREM', dedupEnds, job.dedup)
  end
  endTurn(id, job)
end

local endChild

local function free(id, job)
  job.dedupEnds = nil
  release(id, job)
  if job.parent then endChild(id, job, 'removed', '""') end
end

local function forget(id)
  call('HDEL', jobs, id)
  call('HDEL', data, id, id .. '/progress', id .. '/result', id .. '/error', id .. '/log', id .. '/children')
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
  job.counted = nil
  job.finishedAt = now
  release(id, job)
  if job.parent then
    if set == completed then endChild(id, job, 'completed', text)
    else endChild(id, job, 'dead', cjson.encode(job.reason or '')) end
  end
  if count == 0 then return forget(id) end
  write(id, job)
  if text ~= '' then call('HSET', data, id .. part, text) end
  call('ZADD', set, whole(now), id)
  trim(set, count, age)
end

endChild = function(id, job, outcome, detail)
  local parent = job.parent
  job.parent = nil
  local above = read(parent)
  if not above or not above.awaits or above.flow ~= job.flow then return end
  local outcomes = parent .. '/children'
  local line_ = '["' .. id .. '","' .. outcome .. '",' .. cjson.encode(job.name or '')
  if detail ~= '' then line_ = line_ .. ',' .. detail end
  call('HSET', data, outcomes, (call('HGET', data, outcomes) or '') .. line_ .. ']\\n')
  above.awaits = above.awaits - 1
  local isAwaiting = tonumber(call('ZSCORE', delayed, parent) or 0) == awaitedAt
  local fails = outcome ~= 'completed' and not above.runsAnyway
  if not isAwaiting then return write(parent, above) end
  if not fails and above.awaits > 0 then return write(parent, above) end
  call('ZREM', delayed, parent)
  if fails then
    above.reason = 'its child ' .. id .. ' is ' .. outcome
    publish('dead', parent, ',"reason":' .. cjson.encode(above.reason))
    local count, age = unpack(above.keepDead or {10000, -1})
    return keep(dead, parent, above, count, age, '/error', '')
  end
  write(parent, above)
  line(parent, above, draw())
  if not isPaused() then wakeOne() end
end
`;

/** A function, so that bundlers do not write out the prelude for each script. */
export const scriptOf = (body: string): string => PRELUDE + body;

/**
 * `add(i)` of the job whose 8 arguments begin at ARGV[i]: record, payload, own id or '', delay in ms, dedup id or '',
 * its ms or 0, `onDuplicate`, priority with a minus before it for the last in, first out. Returns its id, or that of the
 * job that has the same id or dedup id, and 1 if it was added, 2 if it has replaced that one. Ids that are made here
 * have one length: Redis sorts members of one score, such as jobs that are due in one millisecond, by their bytes.
 */
export const ADD_ONE: string = `
local function add(i)
  local record, payload, own, ms, dedupId, dedupFor, onDuplicate, priority = unpack(ARGV, i, i + 7)
  ms, dedupFor = tonumber(ms), tonumber(dedupFor)
  local place = draw()
  local id, status = string.format('%.0f-%012.0f', now, place), 1
  if own ~= '' then
    if call('HEXISTS', jobs, own) == 1 then return own, 0 end
    id, record = own, '{"addedAt":' .. whole(now) .. ',' .. string.sub(record, 2)
  end
  if dedupId ~= '' then
    local former = holder(dedupId)
    if former and onDuplicate ~= 'replace' then
      if onDuplicate == 'extend' then call('ZADD', dedupEnds, 'XX', whole(now + dedupFor), dedupId) end
      return former, 0
    end
    local wasWaiting = former and call('ZREM', waiting, former) == 1
    if former and (wasWaiting or call('ZREM', delayed, former) == 1) then
      id, status = former, 2
      local replaced = wasWaiting and read(id)
      if replaced then passOn(replaced) end
      forget(id)
    end
    hold(dedupId, id, dedupFor)
  end
  call('HSET', jobs, id, record)
  call('HSET', data, id, payload)
  if ms > 0 then delay(id, ms)
  else
    line(id, {priority = math.abs(tonumber(priority)), lifo = string.sub(priority, 1, 1) == '-'}, place)
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
