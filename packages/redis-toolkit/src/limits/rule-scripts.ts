import type { RuleKind } from "./rules.ts";

/**
 * The Lua of one kind of rule. `@` stands for the number of the rule. There are key@, and the numbers of the rule; now,
 * in ms of the server; strings, the values of all keys that are strings, the block's first; units, those of the call;
 * wanted, those that are asked for. GET, where MGET found nothing, fails for a key of another type.
 *
 * Times are whole milliseconds. Shares of a unit are kept as fractions of whole numbers, which doubles carry exactly,
 * so nothing is lost or won however often a key is asked.
 */
export interface LuaOfRule {
  /** Names of the rule's numbers, in their order. Times are ms. */
  readonly numbers: readonly string[];
  /** Functions for the other parts. */
  readonly helper?: string;
  /**
   * Sets room@, the units that fit now, and reset@, the ms until all are free; over@ is how far that was rounded up, in
   * parts of 1 / limit ms. Writes nothing.
   */
  readonly look: string;
  /** Takes the units of a call that fits. @default `count` */
  readonly take?: string;
  /** Counts the units, beyond the limit too. Sets room@ and reset@, as `give` does. */
  readonly count: string;
  /** Gives units back, the latest first. */
  readonly give: string;
  /** Gives back the units that are free again at free@, less free_over@, as far as they are still in use. */
  readonly giveBack: string;
  /** Sets wait@, the ms until the wanted units fit, which do not fit now. */
  readonly wait: string;
}

const GIVE_OF_WINDOW = `
if used@ > 0 then used@ = redis.call('DECRBY', key@, math.min(units, used@)) end
room@ = limit@ - used@`;

/** A number that lives as long as its window, which begins with the first unit. */
const FIXED_WINDOW: LuaOfRule = {
  numbers: ["limit", "window"],
  look: `
local used@, end@ = tonumber(strings[@ + 1]), 0
if used@ then end@ = redis.call('PEXPIRETIME', key@) else redis.call('GET', key@) end
if end@ <= now then used@, end@ = 0, now end
room@, reset@ = limit@ - used@, end@ - now`,
  count: `
if end@ > now then used@ = redis.call('INCRBY', key@, ARGV[1])
else
  used@, end@ = units, now + window@
  redis.call('SET', key@, ARGV[1], 'PXAT', end@)
end
room@, reset@ = limit@ - used@, end@ - now`,
  give: GIVE_OF_WINDOW,
  giveBack: `if end@ == free@ then ${GIVE_OF_WINDOW} end`,
  wait: "wait@ = end@ - now",
};

/**
 * A list of the instants of all units, oldest first. A unit counts while its instant is later than now - window. Beyond
 * the limit only the newest are kept: they alone decide.
 */
const SLIDING_LOG: LuaOfRule = {
  numbers: ["limit", "window"],
  helper: `
local function instant(key, index) return tonumber(redis.call('LINDEX', key, index)) end
local function outside(key, length, start)
  if instant(key, 0) > start then return 0 end
  local low, high = 1, length
  while low < high do
    local middle = math.floor((low + high) / 2)
    if instant(key, middle) <= start then low = middle + 1 else high = middle end
  end
  return low
end`,
  look: `
local length@, gone@, newest@ = redis.call('LLEN', key@), 0, now
if length@ > 0 then
  local last = instant(key@, -1)
  gone@, newest@ = outside(key@, length@, now - window@), math.max(last, now)
  if gone@ < length@ then reset@ = last + window@ - now end
end
room@ = limit@ - length@ + gone@`,
  count: `
if gone@ > 0 then redis.call('LTRIM', key@, gone@, -1) end
local added@ = math.min(units, limit@)
for sent = 0, added@ - 1, 1000 do
  local instants = {}
  for i = 1, math.min(1000, added@ - sent) do instants[i] = newest@ end
  redis.call('RPUSH', key@, unpack(instants))
end
length@ = length@ - gone@ + added@
if length@ > limit@ then
  redis.call('LTRIM', key@, -limit@, -1)
  length@ = limit@
end
room@, reset@ = limit@ - length@, newest@ + window@ - now
redis.call('PEXPIRE', key@, reset@)`,
  give: `
local back@ = math.min(units, length@ - gone@)
if back@ > 0 then redis.call('RPOP', key@, back@) end
length@ = length@ - back@
room@ = limit@ - length@ + gone@
reset@ = length@ > gone@ and instant(key@, -1) + window@ - now or 0`,
  giveBack: `
if free@ > now then length@ = length@ - redis.call('LREM', key@, -units, free@ - window@) end
room@ = limit@ - length@ + gone@
reset@ = length@ > gone@ and instant(key@, -1) + window@ - now or 0`,
  wait: "wait@ = instant(key@, -(limit@ - wanted + 1)) + window@ - now",
};

/**
 * A hash of units by slice of time. A slice counts whole while any of it lies within the
 * window, so no window ever holds more than the limit: decision 0104.
 */
const SLIDING_COUNTER: LuaOfRule = {
  numbers: ["limit", "window", "slice"],
  look: `
local oldest@ = math.floor((now - window@) / slice@)
local slices@, units_of@, gone@, count@ = {}, {}, {}, 0
local fields@ = redis.call('HGETALL', key@)
for i = 1, #fields@, 2 do
  local index = tonumber(fields@[i])
  if index < oldest@ then gone@[#gone@ + 1] = fields@[i]
  else
    slices@[#slices@ + 1], units_of@[index] = index, tonumber(fields@[i + 1])
    count@ = count@ + units_of@[index]
  end
end
table.sort(slices@)
room@ = limit@ - count@
if count@ > 0 then reset@ = (slices@[#slices@] + 1) * slice@ + window@ - now end`,
  count: `
if #gone@ > 0 then redis.call('HDEL', key@, unpack(gone@)) end
local newest@ = math.max(math.floor(now / slice@), slices@[#slices@] or 0)
redis.call('HINCRBY', key@, string.format('%.0f', newest@), ARGV[1])
if not units_of@[newest@] then slices@[#slices@ + 1], units_of@[newest@] = newest@, 0 end
units_of@[newest@] = units_of@[newest@] + units
count@ = count@ + units
room@, reset@ = limit@ - count@, (newest@ + 1) * slice@ + window@ - now
redis.call('PEXPIRE', key@, reset@)`,
  give: `
local back@ = math.min(units, count@)
count@ = count@ - back@
for i = #slices@, 1, -1 do
  local field, held = string.format('%.0f', slices@[i]), units_of@[slices@[i]]
  if held > back@ then
    if back@ > 0 then units_of@[slices@[i]] = redis.call('HINCRBY', key@, field, -back@) end
    break
  end
  redis.call('HDEL', key@, field)
  slices@[i], back@ = nil, back@ - held
end
room@ = limit@ - count@
reset@ = count@ > 0 and (slices@[#slices@] + 1) * slice@ + window@ - now or 0`,
  giveBack: `
local taken@ = (free@ - window@) / slice@ - 1
for i = #slices@, 1, -1 do
  if slices@[i] == taken@ then
    local field, back = string.format('%.0f', taken@), math.min(units, units_of@[taken@])
    if back == units_of@[taken@] then
      redis.call('HDEL', key@, field)
      table.remove(slices@, i)
    else units_of@[taken@] = redis.call('HINCRBY', key@, field, -back) end
    count@ = count@ - back
  end
end
room@ = limit@ - count@
reset@ = count@ > 0 and (slices@[#slices@] + 1) * slice@ + window@ - now or 0`,
  wait: `
local left@ = count@
for _, index in ipairs(slices@) do
  left@ = left@ - units_of@[index]
  if left@ + wanted <= limit@ then
    wait@ = (index + 1) * slice@ + window@ - now
    break
  end
end`,
};

const SHOW_BUCKET = `
room@, reset@ = math.floor((burst@ * window@ - debt@) / window@), math.ceil(debt@ / limit@)
over@ = reset@ * limit@ - debt@`;

const WRITE_BUCKET = `${SHOW_BUCKET}
if debt@ == 0 then redis.call('DEL', key@)
else
  local full = string.format('%.0f:%.0f', now + math.floor(debt@ / limit@), debt@ % limit@)
  redis.call('SET', key@, full, 'PX', reset@)
end`;

/**
 * The instant at which the bucket is full again, "ms:rest" with the rest in parts of 1 / limit ms. A unit
 * is worth window such parts. A debt is at most two buckets, which also bounds the effect of a clock set back. A
 * token bucket and GCRA are the same counting: decision 0105.
 */
const BUCKET: LuaOfRule = {
  numbers: ["limit", "window", "burst"],
  look: `
local debt@ = 0
local full@ = strings[@ + 1] or redis.call('GET', key@)
if full@ then
  local ms, rest = string.match(full@, '^(%d+):(%d+)$')
  ms, rest = tonumber(ms), math.min(tonumber(rest), limit@ - 1)
  if ms >= now then debt@ = math.min((ms - now) * limit@ + rest, 2 * burst@ * window@) end
end${SHOW_BUCKET}`,
  count: `
debt@ = math.min(debt@ + units * window@, 2 * burst@ * window@)${WRITE_BUCKET}`,
  give: `
debt@ = math.max(debt@ - units * window@, 0)${WRITE_BUCKET}`,
  // The oldest debt is paid first: what is left of these units is what the time until then pays.
  giveBack: `
local left@ = math.max((free@ - now) * limit@ - free_over@, 0)
debt@ = debt@ - math.min(units * window@, left@, debt@)${WRITE_BUCKET}`,
  wait: "wait@ = math.ceil((debt@ + (wanted - burst@) * window@) / limit@)",
};

/** A sorted set of slots, by the instant at which each expires. Slots belong to calls that were allowed. */
const CONCURRENCY: LuaOfRule = {
  numbers: ["limit", "hold"],
  helper: `
local function slot_end(key, rank) return tonumber(redis.call('ZREVRANGE', key, rank, rank, 'WITHSCORES')[2]) end`,
  look: `
local count@ = redis.call('ZCOUNT', key@, '(' .. now, '+inf')
room@ = limit@ - count@
if count@ > 0 then reset@ = slot_end(key@, 0) - now end`,
  take: `
redis.call('ZREMRANGEBYSCORE', key@, '-inf', now)
for i = 1, units do redis.call('ZADD', key@, now + hold@, lease .. ':' .. i) end
room@, reset@ = room@ - units, slot_end(key@, 0) - now
redis.call('PEXPIRE', key@, reset@)`,
  count: "",
  give: "",
  giveBack: "",
  wait: "wait@ = slot_end(key@, limit@ - wanted) - now",
};

/** Sets now, in ms of the server. */
export const NOW: string = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)`;

/**
 * Gives back slots, of which those that have ended are held no more. KEYS: the slots of `concurrency`. ARGV: the slots
 * of a call. Returns how many were held. It asks for no memory, so a full server does not refuse it.
 */
export const RELEASE_SLOTS: string = `${NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local held = 0
for i = 1, #ARGV, 1000 do
  held = held + redis.call('ZREM', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
return held`;

/**
 * Holds slots for their whole time again, of which those that have ended are held no more. KEYS: the slots of
 * `concurrency`. ARGV: how long, then the slots of a call. Returns how many were held.
 */
export const RENEW_SLOTS: string = `${NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local held = 0
for i = 2, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i])
    held = held + 1
  end
end
if held > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1], 'GT') end
return held`;

export const LUA_OF_KIND: Readonly<Record<RuleKind, LuaOfRule>> = {
  "fixed-window": FIXED_WINDOW,
  "sliding-log": SLIDING_LOG,
  "sliding-counter": SLIDING_COUNTER,
  "token-bucket": BUCKET,
  gcra: BUCKET,
  concurrency: CONCURRENCY,
};
