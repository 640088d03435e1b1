import { ADD_ONE, scriptOf } from "./prelude.ts";

/**
 * ARGV: channel; a name of this call; how many other calls of its producer have been answered, and their names; then the
 * arguments of each job, see `ADD_ONE`. A call that is sent again because its reply was lost gets that reply: it is kept
 * under its name until its producer has it, or for some minutes. Each 64th place some that were not asked for are
 * removed: their producers are gone.
 */
export const ADD: string = scriptOf(`${ADD_ONE}
local name, answered, list = ARGV[2], tonumber(ARGV[3]), {}
local known = call('HGET', added, name)
if known then
  for id, status in string.gmatch(known, ' (%S+) (%d)') do
    list[#list + 1], list[#list + 2] = id, tonumber(status)
  end
  return list
end
for i = 4 + answered, #ARGV, 8 do
  list[#list + 1], list[#list + 2] = add(i)
end
if #list > 0 then
  call('HSET', added, name, whole(now) .. ' ' .. table.concat(list, ' '))
  if answered > 0 then call('HDEL', added, unpack(ARGV, 4, 3 + answered)) end
end
if tonumber(call('HGET', state, 'order') or '0') % 64 == 0 then
  local some = call('HRANDFIELD', added, 128, 'WITHVALUES')
  for i = 1, #some, 2 do
    local at = tonumber(string.match(some[i + 1], '^%d+'))
    if not at or at < now - 300000 or at > now then call('HDEL', added, some[i]) end
  end
end
endDedups()
return list`);

/**
 * `ADD` of jobs without ids of their own and without dedup ids: most are. It makes no function, and has the keys that it
 * needs alone, since these cost as much as the rest. ARGV: as of `ADD`, but of each job four: record, payload, delay in
 * ms, priority with a minus before it for the last in, first out.
 *
 * The place is drawn first: a full server refuses the script there, as a whole.
 */
export const ADD_PLAIN: string = `
local call = redis.call
local state, waiting, delayed, jobs, data, wake, added = unpack(KEYS)
local list, known = {}, call('HGET', added, ARGV[2])
if known then
  for id, status in string.gmatch(known, ' (%S+) (%d)') do
    list[#list + 1], list[#list + 2] = id, tonumber(status)
  end
  return list
end
local time, answered = call('TIME'), tonumber(ARGV[3])
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local isPaused, isAwaited, place = call('HEXISTS', state, 'paused') == 1, false, 0
for i = 4 + answered, #ARGV, 4 do
  place = call('HINCRBY', state, 'order', 1)
  local id, ms, priority = string.format('%.0f-%012.0f', now, place), tonumber(ARGV[i + 2]), ARGV[i + 3]
  call('HSET', jobs, id, ARGV[i])
  call('HSET', data, id, ARGV[i + 1])
  if ms > 0 then
    local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]
    call('ZADD', delayed, string.format('%.0f', now + ms), id)
    isAwaited = isAwaited or not first or now + ms < tonumber(first)
  else
    local order = string.sub(priority, 1, 1) == '-' and -place or place
    call('ZADD', waiting, string.format('%.0f', (255 - math.abs(tonumber(priority))) * 2 ^ 45 + order), id)
    isAwaited = isAwaited or not isPaused
  end
  redis.pcall('SPUBLISH', ARGV[1], '{"kind":"added","id":"' .. id .. '"}')
  list[#list + 1], list[#list + 2] = id, 1
end
if isAwaited then call('ZADD', wake, 0, 'w') end
call('HSET', added, ARGV[2], string.format('%.0f ', now) .. table.concat(list, ' '))
if answered > 0 then call('HDEL', added, unpack(ARGV, 4, 3 + answered)) end
if place % 64 == 0 then
  local some = call('HRANDFIELD', added, 128, 'WITHVALUES')
  for i = 1, #some, 2 do
    local at = tonumber(string.match(some[i + 1], '^%d+'))
    if not at or at < now - 300000 or at > now then call('HDEL', added, some[i]) end
  end
end
return list`;

/**
 * Settles deliveries of a worker, and gives it new ones. ARGV: channel; jobs and ms to keep of completed and of dead
 * ones, or '' as the job says; visibility in ms; token of the new deliveries; how many; limit and ms of the rate, or 0;
 * attempts of jobs whose producer gave none, or ''; 1 if the token was sent before, and no reply has come; the most
 * bytes of payloads, unless there is one job; the most active jobs of the queue, or 0; and of one group; then of each
 * settled delivery: outcome, id, token, result or reason, delay in ms, JSON of the error or ''.
 *
 * Returns: for each settled delivery whether it was this worker's; id, record and payload of each new one; ms until
 * something is due, or -1 where nothing is, or all jobs that were wanted are given; ms for which the rate allows
 * nothing; key, instant and definition of repeats that are due; the time; how many jobs without a record that can be
 * read were removed; 1 where more can be taken immediately.
 *
 * `reclaim` takes jobs whose leases have ended: their workers are gone, or too slow. Such a job may wait long, as in a
 * pause: until another delivery begins its worker may report it, or extend its lease. The window of a rate begins with
 * its first delivery. `again` gives what an exchange has taken whose reply was lost: no handler has begun it, so its
 * lease is a whole number.
 */
export const EXCHANGE: string = scriptOf(`local visibility, token, count = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local limit, per, attempts = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local isAgain, maxBytes = ARGV[12] == '1', tonumber(ARGV[13])
local maxActive, maxOfGroup = tonumber(ARGV[14]), tonumber(ARGV[15])

local function finish(set, id, job, at, own, default, part, text)
  local count, age = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  if not count then count, age = unpack(own or default) end
  keep(set, id, job, count, age, part, text)
end

local corrupt = 0
local function drop(id)
  corrupt = corrupt + 1
  forget(id)
end

local function bury(id, job, reason, failure)
  job.reason = reason
  publish('dead', id, ',"reason":' .. cjson.encode(reason))
  finish(dead, id, job, 4, job.keepDead, {10000, -1}, '/error', failure)
end

local function isSuperseded(id, job)
  local newer = job.dedup and call('HGET', dedup, job.dedup)
  if not newer or newer == id then return false end
  local other = read(newer)
  return other and other.latest or false
end

local function back(id, job)
  write(id, job)
  call('ZADD', waiting, job.order or 0, id)
end

local function giveUp(id, job)
  publish('removed', id, '')
  endTurn(id, job)
  if job.parent then endChild(id, job, 'removed', '""') end
  forget(id)
end

local function putBack(id, job, ms)
  if job.counted ~= false then job.attempt = job.attempt - 1 end
  job.counted = nil
  if isSuperseded(id, job) then return giveUp(id, job) end
  if ms == 0 then return back(id, job) end
  write(id, job)
  delay(id, ms)
end

local function settle(outcome, id, owner, detail, ms, failure)
  local job = read(id)
  if not job or job.token ~= owner then return 0 end
  if call('ZREM', active, id) == 0 then call('ZREM', waiting, id) end
  unpark(job)
  leaveGroup(id, job)
  if job.counted == false and outcome ~= 'return' then job.attempt = job.attempt + 1 end
  if outcome == 'complete' then
    publish('completed', id, jsonOf('result', detail))
    finish(completed, id, job, 2, job.keepCompleted, {1000, 60000}, '/result', detail)
  elseif outcome == 'retry' then
    job.token = nil
    job.counted = nil
    job.reason = detail
    if isSuperseded(id, job) then giveUp(id, job)
    else
      write(id, job)
      publish('retrying', id, ',"reason":' .. cjson.encode(detail))
      if ms > 0 then delay(id, ms) else line(id, job, draw()) end
    end
  elseif outcome == 'return' then
    job.token = nil
    putBack(id, job, ms)
  else
    bury(id, job, detail, failure)
  end
  return 1
end

local function reclaim()
  local ended = call('ZRANGEBYSCORE', active, '-inf', whole(now) .. '.5', 'WITHSCORES', 'LIMIT', 0, 100)
  for i = 1, #ended, 2 do
    local id, hasBegun = ended[i], tonumber(ended[i + 1]) % 1 ~= 0
    call('ZREM', active, id)
    local job = read(id)
    if job then leaveGroup(id, job) end
    if not job then drop(id)
    elseif job.counted and not hasBegun then
      job.attempt, job.counted = job.attempt - 1, false
      if isSuperseded(id, job) then giveUp(id, job) else back(id, job) end
    else
      publish('stalled', id, ',"attempt":' .. job.attempt)
      if job.attempt >= job.attempts then
        bury(id, job, 'the worker was lost in attempt ' .. job.attempt .. ' of ' .. job.attempts, '')
      elseif isSuperseded(id, job) then giveUp(id, job)
      else call('ZADD', waiting, job.order or 0, id) end
    end
  end
end

local function promote()
  for _, id in ipairs(call('ZRANGEBYSCORE', delayed, '-inf', whole(now), 'LIMIT', 0, 100)) do
    call('ZREM', delayed, id)
    local job = read(id)
    if job then line(id, job, draw()) else drop(id) end
  end
end

local function isUnfinished(id)
  return call('ZSCORE', waiting, id) or call('ZSCORE', active, id) or call('ZSCORE', delayed, id)
end

local function hasTurn(id, dedupId)
  local holder = call('HGET', state, 'turn:' .. dedupId)
  return not holder or holder == id or not isUnfinished(holder)
end

local function running(group)
  local ids = {}
  for id in string.gmatch(call('HGET', state, 'group:' .. group) or '', '%S+') do
    if call('ZSCORE', active, id) then ids[#ids + 1] = id end
  end
  return ids
end

local function blockedBy(id, job)
  if job.dedup and not hasTurn(id, job.dedup) then return dedupTurn(job.dedup) end
  if job.group and #running(job.group) >= maxOfGroup then return groupTurn(job.group) end
end

local function park(id, job, score, turn)
  job.order = score
  job.parked = turn .. string.format('%017.0f:', tonumber(score) + 2 ^ 54) .. id
  write(id, job)
  call('ZADD', waiting, whole(parkedAt), id)
  call('ZADD', parked, 0, job.parked)
end

local function enter(id, job)
  if job.dedup then call('HSET', state, 'turn:' .. job.dedup, id) end
  if not job.group then return end
  local ids = running(job.group)
  ids[#ids + 1] = id
  call('HSET', state, 'group:' .. job.group, table.concat(ids, ' '))
end

local function repairTurns()
  local member = call('ZRANDMEMBER', parked)
  if not member then return end
  local id = string.match(member, '[^:]*$')
  local job = read(id)
  if not job or job.parked ~= member or not call('ZSCORE', waiting, id) then return call('ZREM', parked, member) end
  if not blockedBy(id, job) then
    if job.dedup then unparkNext(dedupTurn(job.dedup)) end
    if job.group then unparkNext(groupTurn(job.group)) end
  end
end

local function allowance()
  local allowed = count
  if maxActive > 0 then allowed = math.max(0, math.min(allowed, maxActive - call('ZCARD', active))) end
  if limit == 0 then return allowed, 0 end
  local window = call('HMGET', state, 'rateStart', 'rateCount')
  local started, used = tonumber(window[1] or '0'), tonumber(window[2] or '0')
  if now >= started + per or now < started then started, used = now, 0 end
  if used >= limit then return 0, started + per - now end
  return math.min(allowed, limit - used), 0, started, used
end

local taken, bytes, isFull = {}, 0, false
local function give(id, record, payload)
  taken[#taken + 1] = id
  taken[#taken + 1] = record
  taken[#taken + 1] = payload
  bytes = bytes + (payload and #payload or 0)
  call('ZADD', active, whole(now + visibility), id)
end

local function giveAgain()
  local found = call('ZRANGE', active, 0, -1, 'WITHSCORES')
  for i = 1, #found, 2 do
    if tonumber(found[i + 1]) % 1 == 0 then
      local job, record = read(found[i])
      if job and job.token == token then give(found[i], record, call('HGET', data, found[i])) end
    end
  end
end

local function takeOne(id, score)
  local job = read(id)
  if not job then return drop(id) end
  local turn = blockedBy(id, job)
  if turn then return park(id, job, score, turn) end
  local payload = call('HGET', data, id)
  if #taken > 0 and bytes + (payload and #payload or 0) > maxBytes then
    isFull = true
    return call('ZADD', waiting, score, id)
  end
  job.attempt = job.attempt + 1
  job.counted = true
  if job.anyAttempts and attempts then job.attempts = attempts end
  job.token = token
  job.order = score
  local record = encode(job)
  if not record then return drop(id) end
  call('HSET', jobs, id, record)
  enter(id, job)
  give(id, record, payload)
  publish('active', id, ',"attempt":' .. job.attempt)
end

local function take()
  local allowed, limitedMs, started, used = allowance()
  local before, looked = #taken, 0
  allowed = allowed - before / 3
  while not isFull and looked < 200 and (#taken - before) / 3 < allowed do
    local popped = call('ZPOPMIN', waiting, math.min(10, allowed - (#taken - before) / 3))
    if not popped[1] then break end
    looked = looked + #popped / 2
    for i = 1, #popped, 2 do
      if tonumber(popped[i + 1]) >= parkedAt then
        call('ZADD', waiting, popped[i + 1], popped[i])
        looked = 200
      elseif isFull then call('ZADD', waiting, popped[i + 1], popped[i])
      else takeOne(popped[i], popped[i + 1]) end
    end
  end
  if limit > 0 and #taken > before then
    call('HSET', state, 'rateStart', whole(started), 'rateCount', used + (#taken - before) / 3)
  end
  return limitedMs
end

local function dueRepeats()
  local due = {}
  local found = call('ZRANGEBYSCORE', repeatsDue, '-inf', whole(now), 'WITHSCORES', 'LIMIT', 0, 10)
  for i = 1, #found, 2 do
    due[#due + 1] = found[i]
    due[#due + 1] = found[i + 1]
    due[#due + 1] = call('HGET', repeats, found[i]) or ''
  end
  return due
end

local function nextInMs()
  local nearest = -1
  for _, set in ipairs({delayed, active, repeatsDue}) do
    local first = call('ZRANGEBYSCORE', set, '(' .. whole(now) .. '.5', '(' .. whole(awaitedAt), 'WITHSCORES', 'LIMIT', 0, 1)
    if first[2] and (nearest < 0 or tonumber(first[2]) - now < nearest) then nearest = tonumber(first[2]) - now end
  end
  return math.ceil(nearest)
end

mayGrow()
local settled, limitedMs, due, isStill = {}, 0, {}, isPaused()
for i = 16, #ARGV, 6 do
  settled[#settled + 1] = settle(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4]), ARGV[i + 5])
end
if isAgain then giveAgain() end
if count > 0 then
  reclaim()
  promote()
  repairTurns()
  if not isStill then
    limitedMs = take()
    due = dueRepeats()
  end
end
local mayRun = call('ZCOUNT', waiting, '-inf', '(' .. whole(parkedAt)) > 0
if #taken > 0 and not mayRun then redis.pcall('SPUBLISH', channel, '{"kind":"drained"}') end
local isAtMost = maxActive > 0 and call('ZCARD', active) >= maxActive
local isMore = mayRun and not isStill and not isAtMost and limitedMs == 0
if mayRun and not isStill and not isAtMost then wakeOne()
elseif count > 0 then call('DEL', wake) end
local nearest = #taken == count * 3 and -1 or nextInMs()
return {settled, taken, nearest, limitedMs, due, now, corrupt, isMore and isFull and 1 or 0}`);

/**
 * Extends leases. ARGV: channel, then of each delivery: id, token, visibility in ms, progress or ''. Returns for each
 * whether it is still that worker's. One whose lease had ended has left its group, and is back. Begins with a removal, as a full server refuses what grows first.
 */
export const EXTEND: string = scriptOf(`local extended = {}
for i = 2, #ARGV, 4 do
  local id, progress = ARGV[i], ARGV[i + 3]
  local job = read(id)
  local isOwn = job and job.token == ARGV[i + 1]
  if isOwn then
    local wasLate = call('ZREM', waiting, id) == 1
    if wasLate and job.group then
      local field = 'group:' .. job.group
      call('HSET', state, field, (call('HGET', state, field) or '') .. ' ' .. id)
    end
    if job.counted == false then
      job.attempt, job.counted = job.attempt + 1, true
      write(id, job)
    end
    call('ZADD', active, whole(now + tonumber(ARGV[i + 2])) .. '.5', id)
    if progress ~= '' then
      call('HSET', data, id .. '/progress', progress)
      publish('progress', id, jsonOf('progress', progress))
    end
  end
  extended[#extended + 1] = isOwn and 1 or 0
end
return extended`);
