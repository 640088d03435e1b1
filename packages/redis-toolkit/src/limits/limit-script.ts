import type { Rule, RuleKind } from "./rules.ts";

/**
 * One decision over all rules of a limiter, in one step. Each rule is looked at before anything is written, so an error
 * leaves nothing half done, and a call that one rule refuses takes nothing from another.
 *
 * KEYS: the block, then one for each rule. ARGV: operation, cost, lease, life of a block after a refusal in ms or 0,
 * whether refused calls count, then three numbers for each rule. Replies with: allowed, ms of the block, the server's
 * clock, then room, wait and reset of each rule.
 *
 * Times are whole milliseconds of the server. Shares of a unit are kept as fractions of whole numbers, which doubles
 * carry exactly, so nothing is lost or won however often a key is asked.
 */
export function limitScript(rules: readonly Rule[]): string {
  const kinds = rules.map(({ kind }) => FUNCTIONS[kind]);
  const sources = [...new Set(kinds)].map((name) => SOURCES[name]);
  return [CLOCK, ...sources, `local kinds = {${kinds.join(", ")}}`, DECISION].join("\n");
}

type RuleFunction = "fixed_window" | "sliding_log" | "sliding_counter" | "bucket" | "concurrency";

/** A token bucket and GCRA are the same counting: docs/decisions/0105-one-bucket.md. */
const FUNCTIONS: Readonly<Record<RuleKind, RuleFunction>> = {
  "fixed-window": "fixed_window",
  "sliding-log": "sliding_log",
  "sliding-counter": "sliding_counter",
  "token-bucket": "bucket",
  gcra: "bucket",
  concurrency: "concurrency",
};

const CLOCK = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local op, cost, lease = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local fits`;

// Each function sets: room, the units that fit now; reset, ms until all are free; wait(units), ms until they fit;
// take(units), also beyond the limit; give(units), back.

/** A number that lives as long as its window, which begins with the first unit. */
const FIXED_WINDOW = `
local function fixed_window(rule)
  local left, used = redis.call('PTTL', rule.key), 0
  if left >= 0 then used = tonumber(redis.call('GET', rule.key)) end
  local function set(now_used) used, rule.room, rule.reset = now_used, rule.limit - now_used, math.max(left, 0) end
  set(used)
  function rule.wait() return left end
  function rule.take(units)
    if left >= 0 then return set(redis.call('INCRBY', rule.key, units)) end
    left = rule.window
    redis.call('SET', rule.key, units, 'PX', left)
    set(units)
  end
  function rule.give(units)
    if used > 0 then set(redis.call('DECRBY', rule.key, math.min(units, used))) end
  end
end`;

/**
 * A list of the instants of all units, oldest first. One instant of a unit counts while it is later than now - window.
 * Beyond the limit only the newest are kept: they alone decide.
 */
const SLIDING_LOG = `
local function sliding_log(rule)
  local function at(index) return tonumber(redis.call('LINDEX', rule.key, index)) end
  local first, newest, length = at(0), now, redis.call('LLEN', rule.key)
  local gone = 0
  if first then
    newest = math.max(at(-1), now)
    if first <= now - rule.window then
      local low, high = 1, length
      while low < high do
        local middle = math.floor((low + high) / 2)
        if at(middle) <= now - rule.window then low = middle + 1 else high = middle end
      end
      gone = low
    end
  end
  local function set(count)
    length, rule.room = count, rule.limit - count
    rule.reset = count > 0 and at(-1) + rule.window - now or 0
  end
  set(length - gone)
  function rule.wait(units) return at(-(rule.limit - units + 1)) + rule.window - now end
  function rule.take(units)
    if gone > 0 then redis.call('LTRIM', rule.key, gone, -1) end
    local added = math.min(units, rule.limit)
    for sent = 0, added - 1, 1000 do
      local instants = {}
      for i = 1, math.min(1000, added - sent) do instants[i] = newest end
      redis.call('RPUSH', rule.key, unpack(instants))
    end
    if length + added > rule.limit then redis.call('LTRIM', rule.key, -rule.limit, -1) end
    redis.call('PEXPIRE', rule.key, newest + rule.window - now)
    set(math.min(length + added, rule.limit))
  end
  function rule.give(units)
    local back = math.min(units, length)
    if back > 0 then redis.call('RPOP', rule.key, back) end
    set(length - back)
  end
end`;

/**
 * A hash of units by slice of time. A slice counts whole while any of it lies within the window, so no window ever
 * holds more than the limit: docs/decisions/0104-slices-count-whole.md.
 */
const SLIDING_COUNTER = `
local function sliding_counter(rule)
  local slice = rule.third
  local current, oldest = math.floor(now / slice), math.floor((now - rule.window) / slice)
  local units_of, slices, gone, count = {}, {}, {}, 0
  local fields = redis.call('HGETALL', rule.key)
  for i = 1, #fields, 2 do
    local index = tonumber(fields[i])
    if index < oldest then gone[#gone + 1] = fields[i]
    else
      slices[#slices + 1], units_of[index] = index, tonumber(fields[i + 1])
      count = count + units_of[index]
    end
  end
  table.sort(slices)
  local function leaves(index) return (index + 1) * slice + rule.window - now end
  local function set(units)
    count, rule.room = units, rule.limit - units
    rule.reset = count > 0 and leaves(slices[#slices]) or 0
  end
  set(count)
  function rule.wait(units)
    local left = count
    for _, index in ipairs(slices) do
      left = left - units_of[index]
      if left + units <= rule.limit then return leaves(index) end
    end
  end
  function rule.take(units)
    if #gone > 0 then redis.call('HDEL', rule.key, unpack(gone)) end
    local newest = math.max(current, slices[#slices] or 0)
    if not units_of[newest] then slices[#slices + 1] = newest end
    units_of[newest] = redis.call('HINCRBY', rule.key, string.format('%.0f', newest), units)
    redis.call('PEXPIRE', rule.key, leaves(newest))
    set(count + units)
  end
  function rule.give(units)
    for i = #slices, 1, -1 do
      local field, back = string.format('%.0f', slices[i]), math.min(units, units_of[slices[i]])
      if back == units_of[slices[i]] then redis.call('HDEL', rule.key, field) table.remove(slices)
      else units_of[slices[i]] = redis.call('HINCRBY', rule.key, field, -back) end
      units, count = units - back, count - back
      if units == 0 then break end
    end
    set(count)
  end
end`;

/**
 * The instant at which the bucket is full again, "ms:rest" with the rest in parts of 1 / limit ms. A unit is worth
 * window such parts. A debt is at most two buckets, which also bounds what a clock set back can do.
 */
const BUCKET = `
local function bucket(rule)
  local burst, debt = rule.third, 0
  local stored = redis.call('GET', rule.key)
  if stored then
    local ms, rest = string.match(stored, '^(%d+):(%d+)$')
    ms, rest = tonumber(ms), math.min(tonumber(rest), rule.limit - 1)
    if ms >= now then debt = math.min((ms - now) * rule.limit + rest, 2 * burst * rule.window) end
  end
  local function set(parts)
    debt = parts
    rule.room = math.floor((burst * rule.window - debt) / rule.window)
    rule.reset = math.ceil(debt / rule.limit)
  end
  local function write(parts)
    set(parts)
    if debt == 0 then return redis.call('DEL', rule.key) end
    local full = string.format('%.0f:%.0f', now + math.floor(debt / rule.limit), debt % rule.limit)
    redis.call('SET', rule.key, full, 'PX', rule.reset)
  end
  set(debt)
  function rule.wait(units) return math.ceil((debt + (units - burst) * rule.window) / rule.limit) end
  function rule.take(units) write(math.min(debt + units * rule.window, 2 * burst * rule.window)) end
  function rule.give(units) write(math.max(debt - units * rule.window, 0)) end
end`;

/** A sorted set of slots by the instant at which each ends by itself. Slots belong to calls that were allowed. */
const CONCURRENCY = `
local function concurrency(rule)
  local function end_of(rank)
    local found = redis.call('ZREVRANGE', rule.key, rank, rank, 'WITHSCORES')
    return found[2] and tonumber(found[2]) - now
  end
  local function set(count) rule.room, rule.reset = rule.limit - count, count > 0 and end_of(0) or 0 end
  local count = redis.call('ZCOUNT', rule.key, '(' .. now, '+inf')
  set(count)
  function rule.wait(units) return end_of(rule.limit - units) end
  function rule.take(units)
    if op ~= 'consume' or not fits then return end
    redis.call('ZREMRANGEBYSCORE', rule.key, '-inf', now)
    for i = 1, units do redis.call('ZADD', rule.key, now + rule.window, lease .. ':' .. i) end
    set(count + units)
    redis.call('PEXPIRE', rule.key, rule.reset)
  end
  function rule.give() end
end`;

const SOURCES: Readonly<Record<RuleFunction, string>> = {
  fixed_window: FIXED_WINDOW,
  sliding_log: SLIDING_LOG,
  sliding_counter: SLIDING_COUNTER,
  bucket: BUCKET,
  concurrency: CONCURRENCY,
};

const DECISION = `
local rules = {}
for i, kind in ipairs(kinds) do
  local first = 3 * i + 3
  rules[i] = {
    key = KEYS[i + 1],
    limit = tonumber(ARGV[first]), window = tonumber(ARGV[first + 1]), third = tonumber(ARGV[first + 2]),
  }
  kind(rules[i])
end
local blocked = redis.call('PTTL', KEYS[1])
local function all_fit(units)
  if blocked >= 0 then return false end
  for _, rule in ipairs(rules) do if rule.room < units then return false end end
  return true
end
local wanted = cost
fits = all_fit(wanted)
if op == 'consume' then
  if fits or (ARGV[5] == '1' and blocked < 0) then for _, rule in ipairs(rules) do rule.take(cost) end end
  local block = tonumber(ARGV[4])
  if not fits and blocked < 0 and block > 0 then
    redis.call('SET', KEYS[1], '1', 'PX', block)
    blocked = block
  end
elseif op ~= 'peek' then
  wanted = 1
  for _, rule in ipairs(rules) do
    if op == 'penalty' then rule.take(cost) else rule.give(cost) end
  end
  fits = all_fit(wanted)
end
local reply = {fits and 1 or 0, math.max(blocked, 0), now}
for _, rule in ipairs(rules) do
  reply[#reply + 1] = rule.room
  reply[#reply + 1] = (fits or rule.room >= wanted) and 0 or rule.wait(wanted)
  reply[#reply + 1] = rule.reset
end
return reply`;
