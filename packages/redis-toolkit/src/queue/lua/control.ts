import { ADD_ONE, scriptOf } from "./prelude.ts";

/** ARGV: channel, 1 to pause and 0 to resume. */
export const PAUSE: string = scriptOf(`mayGrow()
if ARGV[2] == '1' then
  call('HSET', state, 'paused', 1)
  call('DEL', wake)
else
  call('HDEL', state, 'paused')
  wakeOne()
end`);

/**
 * Returns how many jobs are waiting, delayed, active, completed and dead, 1 if it is paused, the time, and when the
 * oldest job was added that is the next one of its priority, or -1. It ends with members of other programs too: no
 * double lies next above a score that is infinite, or very large.
 */
export const COUNTS: string = scriptOf(`local counts = {}
for _, set in ipairs(sets) do counts[#counts + 1] = call('ZCARD', set) end
counts[6], counts[7] = call('HEXISTS', state, 'paused'), now
local oldest, from = -1, '-inf'
local function addedAtOf(id)
  local made = tonumber(string.match(id, '^(%d+)%-%d+$'))
  if made then return made end
  local job = read(id)
  return job and job.addedAt
end
while true do
  local next = call('ZRANGEBYSCORE', waiting, from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if not next[1] then break end
  local addedAt, score = addedAtOf(next[1]), tonumber(next[2])
  if addedAt and (oldest < 0 or addedAt < oldest) then oldest = addedAt end
  -- Halfway to the next priority: jobs that are the last in lie below the number of their own.
  local above = (math.floor(score / 2 ^ 45 + 0.5) + 0.5) * 2 ^ 45
  from = above > score and whole(above) or '(' .. next[2]
end
counts[8] = oldest
return counts`);

/** `fieldsOf(id)`: record, payload, and the JSON of progress, result and error; the record alone if it is none. */
const FIELDS_OF = `
local function fieldsOf(id)
  local job, record = read(id)
  if not job or not encode(job) then return {false} end
  return {record, unpack(call('HMGET', data, id, id .. '/progress', id .. '/result', id .. '/error'))}
end
local function outlineOf(id)
  local job, record = read(id)
  if not job or not encode(job) then return {false} end
  local progress, failure = unpack(call('HMGET', data, id .. '/progress', id .. '/error'))
  return {record, false, progress, false, failure}
end
`;

/** ARGV: channel, id. Returns the number of its set, its score there, and its fields; nothing if it is in none. */
export const GET: string = scriptOf(`${FIELDS_OF}
local id = ARGV[2]
for i, set in ipairs(sets) do
  local score = call('ZSCORE', set, id)
  if score then
    return {i, score, unpack(fieldsOf(id))}
  end
end
return {}`);

/**
 * ARGV: channel, number of the set, first, last, 1 for the newest first, 1 with payloads and results. Returns id, score
 * and fields of each.
 */
export const LIST: string = scriptOf(`${FIELDS_OF}
local set = sets[tonumber(ARGV[2])]
local found = call(ARGV[5] == '1' and 'ZREVRANGE' or 'ZRANGE', set, ARGV[3], ARGV[4], 'WITHSCORES')
local list = {}
for i = 1, #found, 2 do
  local fields = ARGV[6] == '1' and fieldsOf(found[i]) or outlineOf(found[i])
  list[#list + 1] = {found[i], found[i + 1], unpack(fields)}
end
return list`);

/** ARGV: channel, number of the set, ms since they ended, the most. Returns how many were removed. */
export const CLEAN: string = scriptOf(`local set = sets[tonumber(ARGV[2])]
local ids = call('ZRANGEBYSCORE', set, '-inf', whole(now - tonumber(ARGV[3])), 'LIMIT', 0, tonumber(ARGV[4]))
for _, id in ipairs(ids) do
  call('ZREM', set, id)
  forget(id)
  publish('removed', id, '')
end
return #ids`);

/**
 * ARGV: channel, id, text as JSON, the most bytes: the oldest lines go first. Returns 0 if there is no such job. Begins
 * with a removal, as a full server refuses what grows first.
 */
export const LOG: string = scriptOf(`local id, most = ARGV[2], tonumber(ARGV[4])
if call('HEXISTS', jobs, id) == 0 then return 0 end
mayGrow()
local lines = (call('HGET', data, id .. '/log') or '') .. '[' .. whole(now) .. ',' .. ARGV[3] .. ']\\n'
while #lines > most do
  local first = string.find(lines, '\\n', 1, true)
  if not first or first == #lines then break end
  lines = string.sub(lines, first + 1)
end
call('HSET', data, id .. '/log', lines)
return 1`);

/** ARGV: channel, id. Returns 1 and its lines, or 0 where there is no such job. */
export const LOGS: string = scriptOf(`local id = ARGV[2]
return {call('HEXISTS', jobs, id), call('HGET', data, id .. '/log')}`);

/** ARGV: channel, id. Returns 1 if it is removed, 0 if there is none, -1 if it is active. */
export const REMOVE: string = scriptOf(`local id = ARGV[2]
if call('ZSCORE', active, id) then return -1 end
local job, removed = read(id), call('ZREM', waiting, id)
if job and removed > 0 then passOn(job) end
for _, set in ipairs({delayed, completed, dead}) do removed = removed + call('ZREM', set, id) end
if job then free(id, job) end
forget(id)
if removed > 0 then publish('removed', id, '') end
return removed`);

/**
 * ARGV: channel, id, payload or '', priority or '', delay in ms or ''. Returns 1 if it is changed, 0 if there is none,
 * -1 if it has begun, or has ended. A worker whose lease has ended loses the job: its report would end a changed one.
 */
export const CHANGE: string =
  scriptOf(`local id, payload, priority, ms = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local job = read(id)
if not job then return 0 end
local isWaiting = call('ZSCORE', waiting, id)
if not isWaiting and not call('ZSCORE', delayed, id) then return -1 end
local place = draw()
job.token = nil
job.counted = nil
job.priority = priority or job.priority
write(id, job)
if payload ~= '' then call('HSET', data, id, payload) end
if ms or priority and isWaiting then
  call('ZREM', waiting, id)
  call('ZREM', delayed, id)
  if isWaiting then passOn(job) end
  write(id, job)
  if ms and ms > 0 then delay(id, ms)
  else
    line(id, job, place)
    if not isPaused() then wakeOne() end
  end
end
return 1`);

/** ARGV: channel, the most, 1 with delayed ones. Removes jobs that wait. Returns how many. */
export const DRAIN: string = scriptOf(`local function drop(set, most)
  local popped = call('ZPOPMIN', set, most)
  for i = 1, #popped, 2 do
    local job = read(popped[i])
    if job and set == waiting then passOn(job) end
    if job then free(popped[i], job) end
    forget(popped[i])
    publish('removed', popped[i], '')
  end
  return #popped / 2
end
local most = tonumber(ARGV[2])
local dropped = drop(waiting, most)
if ARGV[3] == '1' and dropped < most then dropped = dropped + drop(delayed, most - dropped) end
return dropped`);

/** ARGV: channel, dedup id. Returns 1 if it stood for a job. */
export const FREE_DEDUP: string = scriptOf(`local isHeld = holder(ARGV[2])
call('ZREM', dedupEnds, ARGV[2])
call('HDEL', dedup, ARGV[2])
return isHeld and 1 or 0`);

/** ARGV: channel, 1 also with active jobs. Returns 0 where there are some. */
export const OBLITERATE: string = scriptOf(`if ARGV[2] == '0' and call('ZCARD', active) > 0 then return 0 end
call('UNLINK', unpack(KEYS))
return 1`);

/** ARGV: channel, the last instant or +inf, then ids, or none for the oldest 100. Returns how many, how many stay. */
export const REPLAY: string = scriptOf(`local before = ARGV[2] == '+inf' and whole(now) or ARGV[2]
local ids = {unpack(ARGV, 3)}
if #ids == 0 then ids = call('ZRANGEBYSCORE', dead, '-inf', before, 'LIMIT', 0, 100) end
local replayed = 0
for _, id in ipairs(ids) do
  local job = call('ZREM', dead, id) == 1 and read(id)
  if job then
    job.attempt, job.reason, job.finishedAt = 0, nil, nil
    job.counted = nil
    write(id, job)
    call('HDEL', data, id .. '/progress', id .. '/error')
    line(id, job, draw())
    if job.dedup and not job.dedupEnds and not holder(job.dedup) then hold(job.dedup, id, 0) end
    publish('added', id, '')
    replayed = replayed + 1
  end
end
if replayed > 0 and not isPaused() then wakeOne() end
return {replayed, call('ZCOUNT', dead, '-inf', before), tonumber(before)}`);

/**
 * The repeat whose key is ARGV[2]. `plan` says when it is due, or with `''` that it has ended; it stays set.
 *
 * - `repeat:<key>`: the id of its last job
 * - `repeated:<key>`: how many jobs it has added, or that it has ended
 */
const ONE_REPEAT = `
local key, lastOf, countOf = ARGV[2], 'repeat:' .. ARGV[2], 'repeated:' .. ARGV[2]
local function hasEnded() return call('HGET', state, countOf) == 'ended' end
local function plan(at)
  if at ~= '' then return call('ZADD', repeatsDue, at, key) end
  call('ZREM', repeatsDue, key)
  call('HSET', state, countOf, 'ended')
end
`;

/**
 * ARGV: channel, key, definition, first instant or '', the part of the definition that says when, with which it begins.
 * Returns 0 where there is the same definition already.
 */
export const REPEAT: string = scriptOf(`${ONE_REPEAT}
local former = call('HGET', repeats, key)
local isSet = former and (call('ZSCORE', repeatsDue, key) or hasEnded())
if isSet and former == ARGV[3] then return 0 end
call('HSET', repeats, key, ARGV[3])
if isSet and string.sub(former, 1, #ARGV[5]) == ARGV[5] then return 1 end
call('HDEL', state, countOf)
plan(ARGV[4])
wakeOne()
return 1`);

/**
 * ARGV: channel, key, instant that is due, definition, next instant or '', 1 to add a job even if the last one still
 * waits for its first delivery, jobs at most or '', and the arguments of the job. Returns 0 if another has fired it, or
 * replaced it: the new definition may be due at the same instant.
 */
export const FIRE: string = scriptOf(`${ADD_ONE}${ONE_REPEAT}
local due = call('ZSCORE', repeatsDue, key)
if not due or tonumber(due) ~= tonumber(ARGV[3]) or call('HGET', repeats, key) ~= ARGV[4] then return 0 end
local next, limit = ARGV[5], tonumber(ARGV[7])
local last = ARGV[6] ~= '1' and read(call('HGET', state, lastOf) or '')
if not last or last.attempt > 0 then
  local id, status = add(8)
  call('HSET', state, lastOf, id)
  if limit and status > 0 then
    local count = (tonumber(call('HGET', state, countOf)) or 0) + 1
    call('HSET', state, countOf, count)
    if count >= limit then next = '' end
  end
end
plan(next)
return 1`);

/** ARGV: channel, key. */
export const REMOVE_REPEAT: string = scriptOf(`${ONE_REPEAT}
call('ZREM', repeatsDue, key)
call('HDEL', state, lastOf, countOf)
return call('HDEL', repeats, key)`);

/** Returns key, instant or '', and definition of each, the next one first. */
export const REPEATS: string = scriptOf(`local list = {}
local found = call('ZRANGE', repeatsDue, 0, -1, 'WITHSCORES')
for i = 1, #found, 2 do
  list[#list + 1] = found[i]
  list[#list + 1] = found[i + 1]
  list[#list + 1] = call('HGET', repeats, found[i])
end
for _, key in ipairs(call('HKEYS', repeats)) do
  if not call('ZSCORE', repeatsDue, key) then
    list[#list + 1] = key
    list[#list + 1] = ''
    list[#list + 1] = call('HGET', repeats, key)
  end
end
return list`);
