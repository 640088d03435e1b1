import { WINDOW_CHECK } from "./counters.ts";
import { JOINED } from "./windows.ts";

// A board is a sorted set of exact scores, and up to two indexes of it:
//
//   scores    member -> score
//   levels    each score once, for dense ranks; "" -> the name of its making, as long as it is not complete
//   stamps    member -> when its score was reached; "" -> "<order>:<the last stamp>", so members are never empty
//   reached   <stamp, 16 digits><member> -> score: members of one score are in the order in which they reached it
//
// Every change keeps the indexes that exist, complete or not. One that is missing is begun by the first change or read
// that wants it, and made by INDEX in small steps; `reached` is complete when it has as many members as `scores`.
//
// ARGV: start and end of the window, 0 for none; end of the keys, 0 for none; order; "1" with ties by first-reached;
// "1" with dense ranks; then the arguments of the script.

/** The names and functions of all scripts of boards. */
const BOARD = `
local scores, levels, stamps, reached = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local order, wantsTies, wantsLevels = ARGV[4], ARGV[5] == "1", ARGV[6] == "1"
local LARGEST = 9007199254740991
local count = redis.call("ZCARD", scores)

-- Text that is read as the same double again. 0 and -0 are one score.
local function exact(score) return string.format("%.17g", score + 0) end

-- Redis sorts members of one score by their bytes, backwards where the highest score is first.
local function element(tieOrder, stamp, member)
  if tieOrder == "highest" then stamp = LARGEST - stamp end
  return string.format("%016.0f", stamp) .. member
end

local function tiesKept()
  local kept = redis.call("HGET", stamps, "")
  if not kept then return nil, 0 end
  local tieOrder, last = string.match(kept, "^(%a+):(%d+)$")
  return tieOrder, tonumber(last)
end
`;

/** For scripts that change a board. */
const CHANGE = `
local tieOrder, last = tiesKept()
local micros = time[1] * 1000000 + time[2]
if count == 0 then
  redis.call("UNLINK", levels, stamps, reached)
  tieOrder = nil
elseif wantsTies and tieOrder and tieOrder ~= order then
  return {"order", tieOrder}
end
local hasTies = wantsTies or tieOrder ~= nil
local hasLevels = wantsLevels or redis.call("EXISTS", levels) == 1
if hasTies and not tieOrder then
  redis.call("UNLINK", stamps, reached)
  tieOrder = order
end
if hasLevels and count > 0 and redis.call("EXISTS", levels) == 0 then redis.call("ZADD", levels, micros, "") end

-- The server's clock may stand still or be set back; stamps grow all the same.
local function nextStamp()
  last = math.max(last + 1, micros)
  return last
end

local function dropLevel(score)
  if hasLevels and redis.call("ZCOUNT", scores, score, score) == 0 then
    redis.call("ZREM", levels, exact(tonumber(score)))
  end
end

local function dropTie(member)
  local stamp = hasTies and redis.call("HGET", stamps, member)
  if stamp then redis.call("ZREM", reached, element(tieOrder, stamp, member)) end
end

-- A score that stays the same was reached when it was reached first.
local function place(member, old, new)
  if old and tonumber(old) == new then return "unchanged" end
  local text = exact(new)
  redis.call("ZADD", scores, text, member)
  if hasTies then
    dropTie(member)
    local stamp = nextStamp()
    redis.call("HSET", stamps, member, exact(stamp))
    redis.call("ZADD", reached, text, element(tieOrder, stamp, member))
  end
  if hasLevels then redis.call("ZADD", levels, text, text) end
  if old then dropLevel(old) end
  return old and "changed" or "added"
end

local function done(...)
  if redis.call("EXISTS", scores) == 0 then redis.call("UNLINK", levels, stamps, reached)
  elseif hasTies then redis.call("HSET", stamps, "", tieOrder .. ":" .. exact(last)) end
  if ARGV[3] ~= "0" then
    for _, key in ipairs(KEYS) do redis.call("PEXPIREAT", key, ARGV[3]) end
  end
  return {"done", ...}
end
`;

const changing = (body: string): string => WINDOW_CHECK + BOARD + CHANGE + body;

/** ARGV: members, each with its score. */
export const SET: string = changing(`
local counts = {added = 0, changed = 0, unchanged = 0}
for i = 7, #ARGV, 2 do
  local outcome = place(ARGV[i], redis.call("ZSCORE", scores, ARGV[i]), tonumber(ARGV[i + 1]))
  counts[outcome] = counts[outcome] + 1
end
return done(counts.added, counts.changed, counts.unchanged)`);

/** ARGV: the member and its score, kept if it is the better one. */
export const BEST: string = changing(`
local old, new = redis.call("ZSCORE", scores, ARGV[7]), tonumber(ARGV[8])
local isBetter = not old or (order == "highest" and new > tonumber(old)) or (order == "lowest" and new < tonumber(old))
if isBetter then place(ARGV[7], old, new) end
return done(isBetter and 1 or 0, isBetter and exact(new) or exact(tonumber(old)))`);

/**
 * ARGV: the member, and a finite number. Beyond 2^53 doubles leave whole numbers out, so a sum could be wrong; only an
 * infinite score stays what it is.
 */
export const INCREASE: string = changing(`
local old = redis.call("ZSCORE", scores, ARGV[7])
local from = old and tonumber(old) or 0
local sum = from + tonumber(ARGV[8])
if math.abs(sum) > LARGEST and math.abs(from) ~= math.huge then return {"inexact"} end
place(ARGV[7], old, sum)
return done(exact(sum))`);

/** ARGV: members. */
export const REMOVE: string = changing(`
local removed = 0
for i = 7, #ARGV do
  local old = redis.call("ZSCORE", scores, ARGV[i])
  if old then
    dropTie(ARGV[i])
    if hasTies then redis.call("HDEL", stamps, ARGV[i]) end
    redis.call("ZREM", scores, ARGV[i])
    dropLevel(old)
    removed = removed + 1
  end
end
return done(removed)`);

/**
 * One step of making the indexes that are missing; some 2,000 members. ARGV: the name of the making, and the position,
 * as the step before replied; first 0 and 0. Position 0 is the end. Members without a stamp were there before others.
 */
export const INDEX: string = changing(`
local making = hasLevels and redis.call("ZSCORE", levels, "") or "0"
local step = redis.call("ZSCAN", scores, making == ARGV[7] and ARGV[8] or "0", "COUNT", 2000)
for i = 1, #step[2], 2 do
  local member, score = step[2][i], step[2][i + 1]
  if hasTies then
    local stamp = redis.call("HGET", stamps, member)
    if not stamp then redis.call("HSET", stamps, member, "0") end
    redis.call("ZADD", reached, score, element(tieOrder, stamp or 0, member))
  end
  if hasLevels then redis.call("ZADD", levels, score, exact(tonumber(score))) end
end
if hasLevels and step[1] == "0" then redis.call("ZREM", levels, "") end
return done(making, step[1])`);

/** Removes all of it. */
export const CLEAR: string = `${WINDOW_CHECK}
redis.call("UNLINK", unpack(KEYS))
return {"done"}`;

/**
 * ARGV: `page`, first position and how many; or `around`, member and how many on both sides; then the kind of ranks.
 * Returns how many members there are, the position and the rank of the first row, and the rows.
 */
const ROWS = `
local what, ranks = ARGV[7], ARGV[10]
local list = wantsTies and reached or scores
local first, final
if what == "page" then
  first, final = tonumber(ARGV[8]), ARGV[8] + ARGV[9] - 1
else
  local member = ARGV[8]
  if wantsTies then
    local stamp = redis.call("HGET", stamps, member)
    member = stamp and element(order, stamp, member)
  end
  local position = member and redis.call(order == "highest" and "ZREVRANK" or "ZRANK", list, member)
  if not position then return {"done", count, 0, 0, {}} end
  first, final = math.max(0, position - ARGV[9]), position + ARGV[9]
end
local rows
if order == "highest" then rows = redis.call("ZRANGE", list, first, final, "REV", "WITHSCORES")
else rows = redis.call("ZRANGE", list, first, final, "WITHSCORES") end
local rank = first + 1
if rows[1] and ranks ~= "ordinal" then
  local ranked = ranks == "dense" and levels or scores
  if order == "highest" then rank = 1 + redis.call("ZCOUNT", ranked, "(" .. rows[2], "+inf")
  else rank = 1 + redis.call("ZCOUNT", ranked, "-inf", "(" .. rows[2]) end
end
if wantsTies then
  for i = 1, #rows, 2 do rows[i] = string.sub(rows[i], 17) end
end
return {"done", count, first, rank, rows}`;

export const READ: string = `${WINDOW_CHECK}${BOARD}
if count == 0 then return {"done", 0, 0, 0, {}} end
if wantsTies then
  local tieOrder = tiesKept()
  if tieOrder and tieOrder ~= order then return {"order", tieOrder} end
  if not tieOrder or redis.call("ZCARD", reached) ~= count then return {"index"} end
end
if wantsLevels and (redis.call("EXISTS", levels) == 0 or redis.call("ZSCORE", levels, "")) then return {"index"} end
${ROWS}`;

/** KEYS: where they are joined, then the scores of windows. ARGV[3]: how windows are joined. */
export const JOIN_WINDOWS: string = `${WINDOW_CHECK}
local union = {KEYS[1], #KEYS - 1, unpack(KEYS, 2)}
union[#union + 1], union[#union + 2] = "AGGREGATE", ARGV[3]
redis.call("ZUNIONSTORE", unpack(union))${JOINED}`;

/**
 * KEYS: scores and levels of the union, then the scores of windows. ARGV[3]: how windows are joined; ARGV[11]: how many
 * milliseconds the union may be old; ARGV[12]: 1 where KEYS[3] is of this call alone. Without windows it makes none.
 */
export const READ_UNION: string = `${WINDOW_CHECK}
local maxAge = tonumber(ARGV[11])
local isNew = maxAge == 0 or redis.call("EXISTS", KEYS[1]) == 0
if isNew and #KEYS == 2 then return {"absent"} end
if isNew then
  redis.call("UNLINK", KEYS[2])
  local args = {KEYS[1], #KEYS - 2, unpack(KEYS, 3)}
  args[#args + 1], args[#args + 2] = "AGGREGATE", ARGV[3]
  redis.call("ZUNIONSTORE", unpack(args))
end
if ARGV[12] == "1" then redis.call("UNLINK", KEYS[3]) end
${BOARD}
if wantsLevels and redis.call("EXISTS", levels) == 0 then
  local all = redis.call("ZRANGE", scores, 0, -1, "WITHSCORES")
  for i = 2, #all, 2 do redis.call("ZADD", levels, all[i], exact(tonumber(all[i]))) end
end
local function rows()
${ROWS}
end
local reply = rows()
if maxAge == 0 then
  redis.call("UNLINK", scores, levels)
else
  local left = isNew and maxAge or redis.call("PTTL", scores)
  redis.call("PEXPIRE", scores, left)
  redis.call("PEXPIRE", levels, left)
end
return reply`;
