// Steps of a consumer: each a script over KEYS[1], the stream, and those that bury over KEYS[2], its dead letters. ARGV
// begins with the group and the consumer. A lost group is the error NOGROUP of the server.

/** The bytes of the fields of an entry. */
const SIZE_OF = `
local function sizeOf(entry)
  local bytes = 0
  for _, text in ipairs(entry[2]) do bytes = bytes + #text end
  return bytes
end
`;

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
 * Takes entries that are pending: those that no consumer has touched for a while ('idle'), or those of this consumer:
 * from before this process ('own'), of a read whose reply got lost ('lost'), or of an 'idle' whose reply got lost
 * ('retaken'). Each is to be delivered once more. An entry is buried after its last delivery, unless a handler of this
 * consumer may be at it ('lost', 'retaken'), and acknowledged if it was deleted.
 *
 * To take an entry counts nothing, as no handler has begun. `XREADGROUP` has counted the one that it delivers to a
 * consumer that waits: that is the only delivery of an entry of 'lost'.
 *
 * ARGV: ..., which, the id after which to look, how many, idle ms, most deliveries, most dead letters or 0, most bytes
 * of entries, unless there is one. Returns after which id to look next, 1 where there may be more, entries with the
 * number of this delivery and 1 where that is counted, ids buried, how many were deleted, and why others could not be
 * buried.
 */
export const TAKE: string = `${BURY}${SIZE_OF}
local which, after, count = ARGV[3], ARGV[4], tonumber(ARGV[5])
local most, maxBytes, taken, bytes = tonumber(ARGV[7]), tonumber(ARGV[9]), {}, 0

local function isFull() return #taken >= count or bytes >= maxBytes end

local function take(id)
  local pending = redis.call('XPENDING', stream, group, id, id, 1, me)[1]
  if not pending then return end
  local isCounted = which == 'lost' and pending[4] == 1
  local deliveries = isCounted and 1 or pending[4] + 1
  if deliveries > most then
    if which == 'own' or which == 'idle' then bury(id, pending[4], 'deliveries', '', ARGV[8]) end
    return
  end
  local entry = redis.call('XRANGE', stream, id, id)[1]
  if entry then
    redis.call('XCLAIM', stream, group, me, 0, id, 'JUSTID')
    taken[#taken + 1] = {id, entry[2], deliveries, isCounted and 1 or 0}
    bytes = bytes + sizeOf(entry)
  else
    redis.call('XACK', stream, group, id)
    deleted = deleted + 1
  end
end

local more = 0
if which == 'idle' then
  for _ = 1, math.max(count, 100) do
    -- JUSTID leaves the number of deliveries as it is: the last one must not become one more.
    local found = redis.pcall('XAUTOCLAIM', stream, group, me, ARGV[6], after, 'COUNT', 1, 'JUSTID')
    if found.err then return found end
    after = found[1]
    deleted = deleted + (found[3] and #found[3] or 0)
    for _, id in ipairs(found[2]) do take(id) end
    if after == '0-0' or isFull() then break end
  end
  if after ~= '0-0' then more = 1 end
else
  local from = after == '0-0' and '-' or '(' .. after
  local found = redis.pcall('XPENDING', stream, group, from, '+', count, me)
  if found.err then return found end
  if #found == count then more = 1 end
  for _, pending in ipairs(found) do
    after = pending[1]
    take(after)
    if bytes >= maxBytes then
      more = 1
      break
    end
  end
end
return {after, more, taken, buried, deleted, stuck}`;

/** The most entries of one step: of 100 kB each, 16 block Redis for some 60 ms, and 300 for more than a second. */
const MOST_OF_A_STEP = 16;

/**
 * Reads entries that no consumer has got. None is counted as delivered yet. How large the next entries are is unknown
 * until Redis has read them, and nothing else runs meanwhile: so each step reads at most twice as many as the one
 * before, as many as fit if they are no larger than those before, and {@link MOST_OF_A_STEP}. Entries that turn out not
 * to fit stay with the consumer, which takes them next.
 *
 * ARGV: ..., how many, most bytes of entries, unless there is one. Returns the entries, 1 where there may be more, and
 * 1 where some stayed.
 */
export const READ: string = `
local stream, group, me, count = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local maxBytes, entries, bytes, largest, most = tonumber(ARGV[4]), {}, 0, 1, 1
local claim = {'XCLAIM', stream, group, me, 0}
${SIZE_OF}
while #entries < count and bytes < maxBytes do
  local asked = math.min(count - #entries, most)
  local found = redis.pcall('XREADGROUP', 'GROUP', group, me, 'COUNT', asked, 'STREAMS', stream, '>')
  if not found then break end
  if found.err then return found end
  local read = found[1][2]
  for _, entry in ipairs(read) do
    claim[#claim + 1] = entry[1]
    if bytes < maxBytes then
      local size = sizeOf(entry)
      entries[#entries + 1], bytes, largest = entry, bytes + size, math.max(largest, size)
    end
  end
  if #read < asked then break end
  local fitting = math.max(1, math.floor((maxBytes - bytes) / largest))
  most = math.min(2 * most, fitting, ${MOST_OF_A_STEP})
end
local read = #claim - 5
if read > 0 then
  claim[#claim + 1], claim[#claim + 2], claim[#claim + 3] = 'RETRYCOUNT', 0, 'JUSTID'
  redis.call(unpack(claim))
end
return {entries, (read == count or bytes >= maxBytes) and 1 or 0, read > #entries and 1 or 0}`;

/**
 * Sets how often entries were delivered. ARGV: ..., pairs of an id and that. Returns those that this consumer does not
 * hold any more: they stay as they are.
 */
export const COUNT = `
local lost = {}
for i = 3, #ARGV, 2 do
  local found = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])
  if found.err then return found end
  if found[1] then redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
  else lost[#lost + 1] = ARGV[i] end
end
return lost`;

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

/**
 * Entries of a read whose reply got lost go back as they came, though `XREADGROUP` has counted one. ARGV: ..., the last
 * id that was read, then ids after it that this consumer knows. Returns 1.
 */
export const RELEASE = `
local known = {}
for i = 4, #ARGV do known[ARGV[i]] = true end
local found = redis.pcall('XPENDING', KEYS[1], ARGV[1], '(' .. ARGV[3], '+', 1000, ARGV[2])
if found.err then return found end
for _, pending in ipairs(found) do
  if pending[4] == 1 and not known[pending[1]] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, pending[1], 'RETRYCOUNT', 0, 'JUSTID')
  end
end
return 1`;

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
