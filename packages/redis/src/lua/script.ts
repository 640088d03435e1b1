import { cryptoIfAny } from "../primitives/crypto.ts";

/**
 * Steps that must be atomic, and why they are not `MULTI`: decision 0030. Each is a Lua script over an entry, and its lease where the step needs it. They share a
 * slot. Plain Lua without a shebang, which every Redis since 2.6 and every Valkey runs. Where a step must work with
 * memory full, its first write is one that Redis never refuses, such as DEL, after which it refuses no other of that
 * script; where it must be refused, an HSET or a SET.
 *
 * KEYS[1] is the entry, KEYS[2] its lease, KEYS[3] the staged value of a large one, or the key that {@link FREE}
 * signals. Redis 7.0 remembers all keys of a script that reads as read: a step of an entry alone does not get the
 * lease. The last two of ARGV are the channel on which a change is announced, `''` for none, and the sender.
 *
 * Steps shared by several scripts are text and not functions of Lua: those are created again in
 * each run, which costs as much as a command.
 *
 * Tracking pushes a changed key to the clients that have read it, and a DEL of a missing key changes nothing. So
 * `SIGNAL` (`SET`, `DEL`) reports that an entry is gone, also where there was none, and `WAKE` reports a change of the
 * lease of an entry that stays as it is.
 */
export interface Script {
  readonly text: string;
  /** Its SHA-1. Where that takes a promise, as without modules of Node, a name in place of it: see `rest-scripts.ts`. */
  readonly sha: string;
}

let named = 0;

export function script(text: string): Script {
  let sha: string | undefined;
  return {
    text,
    get sha() {
      return (sha ??= cryptoIfAny()?.hash("sha1", text) ?? `script ${(named += 1)}`);
    },
  };
}

/** Where scripts announce changes, and their sender: a process skips its own announcements. */
export interface Announcement {
  /** `''` announces nothing. */
  readonly channel: string;
  /** Holds no space. */
  readonly sender: string;
}

/**
 * Publishes that `key` changed, in the same step, for clients that do not track: `1 <sender> <key>`, where 1 is the
 * version of this message. A user who may not publish is not an error.
 */
export const announce = (key = "KEYS[1]"): string =>
  `if ARGV[#ARGV - 1] ~= '' then redis.pcall('PUBLISH', ARGV[#ARGV - 1], '1 ' .. ARGV[#ARGV] .. ' ' .. ${key}) end`;

/**
 * Sets `name` to the reply of a command over a key that may be of another type: then it is a table with `err`. Any
 * other error, such as for a right that is missing, ends the script: it must not pass for a key that holds nothing of
 * ours.
 */
export const readAny = (name: string, command: string): string => `local ${name} = redis.pcall(${command})
if type(${name}) == 'table' and ${name}.err and not string.find(${name}.err, 'WRONGTYPE', 1, true) then
  error(${name})
end`;

/**
 * The last step of a script that writes an entry: a server that remembers which clients read a key forgets them at each
 * change, and pushes the next change only to those that have read it since. So a writer that keeps a copy reads: it has
 * named itself. Another need not know of the next change.
 */
export const WATCH = "redis.call('PTTL', KEYS[1])";
export const WATCH_COPY: string = `if ARGV[#ARGV] ~= '' then ${WATCH} end`;

export const SIGNAL = `redis.call('SET', KEYS[1], '1')
redis.call('DEL', KEYS[1])`;

/**
 * Ends a lease whose entry stays as it is, for those who wait for it. Clients that asked for the lease have read it, so
 * the DEL is pushed to them; KEYS[3] is changed for connections that receive every change below the prefix. The entry
 * is not changed: that would cost every process its copy.
 */
export const FREE: string = `redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[3], '1')
redis.call('DEL', KEYS[3])
${announce("KEYS[3]")}`;

/**
 * Pushes the entry's key, of any type, and changes nothing. Used where the entry is not what a process that waits, or
 * loads, has seen.
 */
export const WAKE: string = `local left = redis.call('PTTL', KEYS[1])
if left == -2 then
  ${SIGNAL}
elseif left >= 0 then
  redis.call('PEXPIRE', KEYS[1], left)
else
  redis.call('PEXPIRE', KEYS[1], 100000)
  redis.call('PERSIST', KEYS[1])
end
${announce()}`;

/**
 * Without a prefix keys may be those of other programs. The key of the lease, which each step gets then, shows this:
 * it begins with the prefix, which has no `~`.
 */
export const IS_BARE = "KEYS[2] and string.byte(KEYS[2]) == 126";

/** The lease next to an entry, where the step is given it. */
export const END_LEASE = "if KEYS[2] then redis.call('DEL', KEYS[2]) end";

/** Refuses to change a key that holds no entry, where it may be that of another program. */
export const SPARE: string = `if ${IS_BARE} then
  local bytes = redis.pcall('HSTRLEN', KEYS[1], 'd')
  if type(bytes) == 'table' then return bytes end
  if bytes == 0 and not redis.call('HGET', KEYS[1], 'd') and redis.call('HLEN', KEYS[1]) > 0 then
    return redis.error_reply('WRONGTYPE this hash has no field d, so it is not an entry')
  end
end`;

/** Removes a staged value that will not be stored. */
export const DISCARD = `if KEYS[3] then redis.call('DEL', KEYS[3]) end`;

/** Ends a write that was refused: the former entry is removed as well, as it must not outlive the write. */
export const REFUSED: string = `${END_LEASE}
    if redis.call('DEL', KEYS[1]) == 0 then
      ${SIGNAL}
    end
    ${WATCH_COPY}
    ${announce()}
    return reply`;

/** Puts a staged value in the place of the entry. */
export const UNSTAGE: string = `${WATCH_COPY}
  redis.call('RENAME', KEYS[3], KEYS[1])`;

/** Ends entry and lease, in place of a store whose lifetime, ARGV[3], has passed. */
export const NO_LIFE: string = `if ARGV[3] == '0' then
  ${END_LEASE}
  ${SIGNAL}
  ${announce()}
  return 1
end`;

/**
 * Writes an entry over the former one, of which nothing survives, and ends the lease. When the write is refused, the
 * former entry is removed as well: it must not outlive the write.
 *
 * With a KEYS[3], fields and values are staged there; without a value there it replies 2 and changes nothing. Redis 7.0
 * takes all keys of a script for read as soon as one of them is, and would remember each staged one for good. So the
 * entry is read before it is written: the writer is pushed its own change, and reads again.
 *
 * The number of fields is asked for last: that read is the {@link WATCH} too. More than were written are of the former
 * entry.
 *
 * @param life index of the lifetime in ARGV, in ms or `''` for none. Fields and values follow.
 */
export function put(life: number): string {
  const hset = `redis.pcall('HSET', KEYS[1], unpack(ARGV, ${life + 1}, #ARGV - 2))`;
  const expire = `if ARGV[${life}] == '' then redis.call('PERSIST', KEYS[1])
else redis.call('PEXPIRE', KEYS[1], ARGV[${life}]) end`;
  return `local reply = not KEYS[3] and ${hset}
if not reply then
  if redis.call('HSTRLEN', KEYS[3], 'd') == 0 then return 2 end
  ${UNSTAGE}
elseif type(reply) == 'table' then
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then
    ${REFUSED}
  end
  redis.call('DEL', KEYS[1])
  ${hset}
end
${expire}
${END_LEASE}
if not KEYS[3] and redis.call('HLEN', KEYS[1]) * 2 ~= #ARGV - ${life + 2} then
  redis.call('DEL', KEYS[1])
  ${hset}
  ${expire}
  ${WATCH_COPY}
end
${announce()}
return 1`;
}

/**
 * As {@link put}, in the place of the own placeholder, unless the value is staged. Its `DEL` comes first, so full
 * memory refuses the placeholder, and not the value.
 */
export const putInPlace = (life: number): string => `if not KEYS[3] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], unpack(ARGV, ${life + 1}, #ARGV - 2))
  if ARGV[${life}] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[${life}]) end
  ${WATCH_COPY}
  ${announce()}
  return 1
end`;
