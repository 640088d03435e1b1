import { ADD_ONE, scriptOf } from "./prelude.ts";

/** ARGV: channel, then the arguments of each job, see `ADD_ONE`. */
export const ADD: string = scriptOf(`${ADD_ONE}
local added = {}
for i = 2, #ARGV, 7 do
  local id, status = add(i)
  added[#added + 1] = id
  added[#added + 1] = status
end
endDedups()
return added`);

/**
 * Settles deliveries of a worker, and gives it new ones. ARGV: channel; jobs and ms to keep of completed and of dead
 * ones, or '' as the job says; visibility in ms; token of the new deliveries; how many; limit and ms of the rate, or 0;
 * attempts of jobs whose producer gave none, or ''; then of each settled delivery: outcome, id, token, result or
 * reason, delay in ms, JSON of the error or ''.
 *
 * Returns: for each settled delivery whether it was this worker's; id, record and payload of each new one; ms until
 * something is due, or -1 where nothing is, or all jobs that were wanted are given; ms for which the rate allows
 * nothing; key, instant and definition of repeats that are due; the time; how many jobs without a record that can be
 * read were removed.
 *
 * `reclaim` takes jobs whose leases have ended: their workers are gone, or too slow. Such a job may wait long, as in a
 * pause: until another delivery begins its worker may report it, or extend its lease. The window of a rate begins with
 * its first delivery.
 */
export const EXCHANGE: string = scriptOf(`local visibility, token, count = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local limit, per, attempts = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])

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

local function settle(outcome, id, owner, detail, ms, failure)
  local job = read(id)
  if not job or job.token ~= owner then return 0 end
  if call('ZREM', active, id) == 0 then call('ZREM', waiting, id) end
  if outcome == 'complete' then
    publish('completed', id, detail == '' and '' or ',"result":' .. detail)
    finish(completed, id, job, 2, job.keepCompleted, {1000, 60000}, '/result', detail)
  elseif outcome == 'retry' then
    job.token = nil
    job.reason = detail
    write(id, job)
    publish('retrying', id, ',"reason":' .. cjson.encode(detail))
    if ms > 0 then delay(id, ms) else line(id, job.priority, draw()) end
  elseif outcome == 'return' then
    job.token = nil
    job.attempt = job.attempt - 1
    write(id, job)
    call('ZADD', waiting, job.order or 0, id)
  else
    bury(id, job, detail, failure)
  end
  return 1
end

local function reclaim()
  for _, id in ipairs(call('ZRANGEBYSCORE', active, '-inf', whole(now), 'LIMIT', 0, 100)) do
    call('ZREM', active, id)
    local job = read(id)
    if job then publish('stalled', id, ',"attempt":' .. job.attempt) end
    if not job then drop(id)
    elseif job.attempt >= job.attempts then
      bury(id, job, 'the worker was lost in attempt ' .. job.attempt .. ' of ' .. job.attempts, '')
    else call('ZADD', waiting, job.order or 0, id) end
  end
end

local function promote()
  for _, id in ipairs(call('ZRANGEBYSCORE', delayed, '-inf', whole(now), 'LIMIT', 0, 100)) do
    call('ZREM', delayed, id)
    local job = read(id)
    if job then line(id, job.priority, draw()) else drop(id) end
  end
end

local function allowance()
  if limit == 0 then return count, 0 end
  local window = call('HMGET', state, 'rateStart', 'rateCount')
  local started, used = tonumber(window[1] or '0'), tonumber(window[2] or '0')
  if now >= started + per or now < started then started, used = now, 0 end
  return math.min(count, limit - used), started + per - now, started, used
end

local function take()
  local allowed, limitedMs, started, used = allowance()
  if allowed <= 0 then return {}, limitedMs end
  local taken = {}
  local popped = call('ZPOPMIN', waiting, allowed)
  for i = 1, #popped, 2 do
    local id = popped[i]
    local job = read(id)
    if job then
      job.attempt = job.attempt + 1
      if job.anyAttempts and attempts then job.attempts = attempts end
      job.token = token
      job.order = popped[i + 1]
    end
    local record = job and encode(job)
    if record then
      call('HSET', jobs, id, record)
      call('ZADD', active, whole(now + visibility), id)
      publish('active', id, ',"attempt":' .. job.attempt)
      taken[#taken + 1] = id
      taken[#taken + 1] = record
      taken[#taken + 1] = call('HGET', data, id)
    else drop(id) end
  end
  if limit > 0 and #taken > 0 then
    call('HSET', state, 'rateStart', whole(started), 'rateCount', used + #taken / 3)
  end
  return taken, 0
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
    local first = call('ZRANGEBYSCORE', set, '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if first[2] and (nearest < 0 or tonumber(first[2]) - now < nearest) then nearest = tonumber(first[2]) - now end
  end
  return nearest
end

mayGrow()
local settled, taken, limitedMs, due, paused = {}, {}, 0, {}, isPaused()
for i = 12, #ARGV, 6 do
  settled[#settled + 1] = settle(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4]), ARGV[i + 5])
end
if count > 0 then
  reclaim()
  promote()
  if not paused then
    taken, limitedMs = take()
    due = dueRepeats()
  end
end
local hasWaiting = call('ZCARD', waiting) > 0
if #taken > 0 and not hasWaiting then redis.pcall('SPUBLISH', channel, '{"kind":"drained"}') end
if hasWaiting and not paused then wakeOne()
elseif count > 0 then call('DEL', wake) end
local nearest = #taken == count * 3 and -1 or nextInMs()
return {settled, taken, nearest, limitedMs, due, now, corrupt}`);

/**
 * Extends leases. ARGV: channel, then of each delivery: id, token, visibility in ms, progress or ''. Returns for each
 * whether it is still that worker's. Begins with a removal, as a full server refuses what grows first.
 */
export const EXTEND: string = scriptOf(`local extended = {}
for i = 2, #ARGV, 4 do
  local id, progress = ARGV[i], ARGV[i + 3]
  local job = read(id)
  local isOwn = job and job.token == ARGV[i + 1]
  if isOwn then
    call('ZREM', waiting, id)
    call('ZADD', active, whole(now + tonumber(ARGV[i + 2])), id)
    if progress ~= '' then
      call('HSET', data, id .. '/progress', progress)
      publish('progress', id, ',"progress":' .. progress)
    end
  end
  extended[#extended + 1] = isOwn and 1 or 0
end
return extended`);
