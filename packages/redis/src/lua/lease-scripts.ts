import { DISCARD, FREE, NO_LIFE, put, readAny, script, SPARE, WAKE, WATCH, type Script } from "./script.ts";

/** The longest time that a lease is given. */
export const MAX_LEASE_MS = 60_000;

/**
 * Sets `was` to the version of the entry: `-` where it has none, or an invalid one; `''` without an entry; `!` where
 * the key is of another type, which cannot be read.
 */
const PRESENT = `was = redis.pcall('HLEN', KEYS[1])
if was == 0 then
  was = ''
elseif type(was) == 'table' then
  if not string.find(was.err, 'WRONGTYPE', 1, true) then return was end
  was = '!'
else
  was = redis.call('HGET', KEYS[1], 'w')
  if not was or #was > 32 or not string.find(was, '^[%w_-]+$') then was = '-' end
end`;

/** Whether an entry with a version is there. */
export const HAS_VERSION = "was ~= '' and was ~= '-' and was ~= '!'";

/**
 * Takes a lease, and reads the entry in each case: the end of another's lease is pushed only to clients that have read
 * it. ARGV: token, its life in ms, expected version, where `*` takes the lease from any holder and `?` compares
 * nothing, and `1` where the caller takes the entry of that version as over. Replies `{1, version}` when it is granted,
 * `{0, ms}` when it is held, and `{2, PTTL, fields}` with an entry of another version: another process stored
 * meanwhile.
 *
 * Readers take an entry as over some milliseconds early. It is removed with the grant: if it ended during the load, the
 * store would be taken for overtaken. The removal is a change, so the key is read again.
 *
 * A lease without an end, or with more time left than any is given, has no holder: the server's clock was set back, or
 * another program made it.
 */
export const ACQUIRE: Script = script(`local was = ''
if ARGV[3] == '?' then
  ${WATCH}
else
  ${PRESENT}
end
if ARGV[3] == '*' then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  return {1, was}
end
if was ~= '' and was ~= '!' and was ~= ARGV[3] then
  return {2, redis.call('PTTL', KEYS[1]), redis.call('HMGET', KEYS[1], 'd', 's', 'm', 'w')}
end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  local left = redis.call('PTTL', KEYS[2])
  if left >= 0 and left <= ${MAX_LEASE_MS} then return {0, left} end
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
end
if ARGV[4] == '1' and ${HAS_VERSION} then
  redis.call('DEL', KEYS[1])
  ${WATCH}
  was = ''
end
return {1, was}`);

/** Sets `lease` to the token of the holder. */
export const HOLDER: string = readAny("lease", "'GET', KEYS[2]");

/** Prolongs a lease: 1 when it is held. ARGV: token, its life in ms. */
export const RENEW_LEASE: Script = script(`${HOLDER}
if lease ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])`);

/**
 * Stores under a lease, and ends it: 1 when it did. ARGV: token, the version that the lease was granted over (`?`
 * compares nothing), lifetime (`0` where it is over already), fields and values. Without the lease nothing is touched;
 * where the entry has another version by now, only the lease ends.
 */
export const STORE: Script = script(`${HOLDER}
if lease ~= ARGV[1] then
  ${DISCARD}
  return 0
end
${SPARE}
if ARGV[2] ~= '?' then
  local was
  ${PRESENT}
  if was ~= ARGV[2] then
    ${DISCARD}
    redis.call('DEL', KEYS[2])
    ${WAKE}
    return 0
  end
end
${NO_LIFE}
${put(3)}`);

/** Ends a lease: 1 when it was held. ARGV: token. */
export const RELEASE: Script = script(`${HOLDER}
if lease ~= ARGV[1] then return 0 end
${FREE}
return 1`);
