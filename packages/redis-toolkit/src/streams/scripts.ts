// Steps of a consumer: each a script over KEYS[1], the stream, and those that bury over KEYS[2], its dead letters. ARGV
// begins with the group and the consumer. A lost group is the error NOGROUP of the server.

/** A dead letter: its own fields, then those of the entry. A letter that cannot be written leaves its entry pending. */
const BURY: string = `
local stream, dead, group, me = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local buried, deleted, stuck = {}, 0, {}

local function bury(id, deliveries, reason, cause, most)
  local entry = redis.call('XRANGE', stream, id, id)[1]
  if entry then
    local letter = {'XADD', dead}
    if most ~= '0' then
      letter[3], letter[4], letter[5] = 'MAXLEN', '~', most
    end
    local parts = {'*', 'id', id, 'group', group, 'reason', reason, 'error', cause, 'deliveries', deliveries}
    for _, text in ipairs(parts) do
      letter[#letter + 1] = text
    end
    for _, text in ipairs(entry[2]) do letter[#letter + 1] = text end
    -- A script that has written may go on while memory is short: poison must not block a stream that is drained.
    redis.call('XCLAIM', stream, group, me, 0, id, 'JUSTID')
    local written, problem = pcall(function() return redis.call(unpack(letter)) end)
    if not written then
      stuck[#stuck + 1] = type(problem) == 'table' and problem.err or tostring(problem)
      return
    end
    buried[#buried + 1] = id
  else
    deleted = deleted + 1
  end
  redis.call('XACK', stream, group, id)
end
`;

/**
 * Takes entries that are pending: those of this consumer ('own'), or those that no consumer has touched for a while
 * ('idle'). Each is delivered once more, buried after its last delivery, or acknowledged if it was deleted.
 *
 * ARGV: ..., 'own' or 'idle', the id after which to look, how many, idle ms, most deliveries, most dead letters or 0.
 * Returns after which id to look next, how many were looked at, entries with their deliveries, ids buried, how many
 * were deleted, and why others could not be buried.
 */
export const TAKE: string = `${BURY}
local after, count, most, taken = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[7]), {}
local ids = {}
if ARGV[3] == 'own' then
  local from = after == '0-0' and '-' or '(' .. after
  local found = redis.pcall('XPENDING', stream, group, from, '+', count, me)
  if found.err then return found end
  for i, pending in ipairs(found) do ids[i] = pending[1] end
  after = ids[#ids] or after
else
  -- JUSTID leaves the number of deliveries as it is: the last one must not become one more.
  local found = redis.pcall('XAUTOCLAIM', stream, group, me, ARGV[6], after, 'COUNT', count, 'JUSTID')
  if found.err then return found end
  after, ids = found[1], found[2]
  deleted = found[3] and #found[3] or 0
end
for _, id in ipairs(ids) do
  local pending = redis.call('XPENDING', stream, group, id, id, 1, me)[1]
  if pending and pending[4] >= most then
    bury(id, pending[4], 'deliveries', '', ARGV[8])
  elseif pending then
    local entry = redis.call('XCLAIM', stream, group, me, 0, id)[1]
    if entry and entry[2] then
      taken[#taken + 1] = {entry[1], entry[2], pending[4] + 1}
    else
      redis.call('XACK', stream, group, id)
      deleted = deleted + 1
    end
  end
end
return {after, #ids, taken, buried, deleted, stuck}`;

/**
 * Buries an entry if this consumer holds it. ARGV: ..., id, why, most dead letters or 0. Returns ids buried, how many
 * were deleted, problems.
 */
export const BURY_FAILED: string = `${BURY}
local found = redis.pcall('XPENDING', stream, group, ARGV[3], ARGV[3], 1, me)
if found.err then return found end
if found[1] then bury(ARGV[3], found[1][4], 'handler', ARGV[4], ARGV[5]) end
return {buried, deleted, stuck}`;

/** Entries in hand are not idle. ARGV: ..., ids. Returns those that this consumer does not hold any more. */
export const RENEW = `
local lost = {}
for i = 3, #ARGV do
  local found = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])
  if found.err then return found end
  if found[1] then redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  else lost[#lost + 1] = ARGV[i] end
end
return lost`;

/** Deletes the consumer if it holds nothing. Returns 1 if it does hold something. */
export const LEAVE = `
local found = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if found.err then return found end
if #found > 0 then return 1 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 0`;

/** Deletes consumers that hold nothing and were idle for ARGV[3] ms: processes that ended without leaving. */
export const FORGET = `
local found = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)
if found.err then return found end
local forgotten = 0
for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #info, 2 do consumer[info[i]] = info[i + 1] end
  if consumer.pending == 0 and consumer.idle >= tonumber(ARGV[3]) and consumer.name ~= ARGV[2] then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    forgotten = forgotten + 1
  end
end
return forgotten`;
