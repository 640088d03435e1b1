import { HAS_VERSION, IN_HASH, IN_STRING, PLACEHOLDER, type Present } from "./present.ts";
import {
  DISCARD,
  END_LEASE,
  FREE,
  NO_LIFE,
  announce,
  put,
  putInPlace,
  readAny,
  script,
  SPARE,
  WAKE,
  WATCH,
  type Script,
} from "./script.ts";
import { putString } from "./string-scripts.ts";

/** The longest time that a lease is given. */
export const MAX_LEASE_MS = 60_000;

/** How a layout writes what a lease allows. */
interface Layout {
  readonly present: Present;
  /** Replies an entry of another version. */
  readonly entry: string;
  /** Writes what is stored, and ends the script. */
  readonly put: string;
}

/** The steps of leases. */
export interface LeaseScripts {
  /**
   * Takes a lease, and reads the entry in each case: the end of another's lease is pushed only to clients that have
   * read it. ARGV: token, its life in ms, expected version, where `*` takes the lease from any holder and `?` compares
   * nothing; `1` for a placeholder of this token that was put there without a look at the lease, which is kept or
   * removed, `2` for a lease of this token that may have been set next to another version, and is given up, `-` where no
   * placeholder may be put there; and `1` where the caller takes the entry of that version as over.
   * Replies `{1, version}` when it is granted, `{0, ms}` when it is held, and `{2, ...}` with an entry of another
   * version: another process stored meanwhile.
   *
   * A missing entry gets a placeholder, unless a refresh runs that began when it was there; any other gets a lease next
   * to it. Readers take an entry as over some milliseconds early: it is removed, as its end during the load would look
   * like a change.
   *
   * A lease without an end, or with more time left than any is given, has no holder: the server's clock was set back,
   * or another program made it.
   */
  readonly acquire: Script;
  /** Prolongs a lease: 1 when it is held; or a placeholder: 2. ARGV: token, its life in ms. */
  readonly renew: Script;
  /**
   * Stores under a lease, and ends it: 1 when it did. ARGV: token, the version that the lease was granted over (`?`
   * compares nothing), lifetime (`0` where it has ended already), and the rest of what is written. Without the lease
   * nothing is touched; where the entry has another version by now, only the lease ends.
   */
  readonly store: Script;
  /** Ends a lease, or removes a placeholder: 1 when it was held. ARGV: token. */
  readonly release: Script;
}

/** Sets `lease` to the token of the holder. */
const HOLDER: string = readAny("lease", "'GET', KEYS[2]");

const acquire = ({ present: { present }, entry }: Layout): Script =>
  script(`if ARGV[4] == '2' and redis.pcall('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
${present("ARGV[3]")}
local isMine = holder == ARGV[1] and ARGV[4] == '1'
if ARGV[3] ~= '*' then
  if ARGV[3] ~= '?' and was ~= '' and was ~= '!' and was ~= ARGV[3] then return {2, ${entry}} end
  local left = redis.call('PTTL', holder and not isMine and KEYS[1] or KEYS[2])
  if left >= 0 and left <= ${MAX_LEASE_MS} then
    if isMine then
      redis.call('DEL', KEYS[1])
      ${WATCH}
    end
    return {0, left}
  end
end
if ARGV[5] == '1' and ${HAS_VERSION} then
  redis.call('DEL', KEYS[1])
  was = ''
end
if was ~= '' or ARGV[4] == '-' then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
else
  if not isMine then redis.call('SET', KEYS[1], ${PLACEHOLDER} .. ARGV[1], 'PX', ARGV[2]) end
  redis.call('DEL', KEYS[2])
end
if was == '' then ${WATCH} end
return {1, was}`);

const renew = ({ present: { isMine } }: Layout): Script =>
  script(`${isMine}
if isMine then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  ${WATCH}
  return 2
end
${HOLDER}
if lease ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])`);

const store = ({ present: { present }, put }: Layout): Script =>
  script(`${present("ARGV[2]")}
local isMine = holder == ARGV[1]
if not isMine then
  if not KEYS[2] then return 0 end
  ${HOLDER}
  if lease ~= ARGV[1] then
    ${DISCARD}
    return 0
  end
  ${SPARE}
  if holder or ARGV[2] ~= '?' and was ~= ARGV[2] then
    ${DISCARD}
    ${END_LEASE}
    ${WAKE}
    return 0
  end
elseif ARGV[2] ~= '' and ARGV[2] ~= '?' then
  ${DISCARD}
  redis.call('DEL', KEYS[1])
  ${announce()}
  return 0
end
${NO_LIFE}
${put}`);

const release = ({ present: { isMine } }: Layout): Script =>
  script(`${isMine}
if isMine then
  redis.call('DEL', KEYS[1])
  ${announce()}
  return 1
end
${HOLDER}
if lease ~= ARGV[1] then return 0 end
${FREE}
return 1`);

const leaseScripts = (layout: Layout): LeaseScripts => ({
  acquire: acquire(layout),
  renew: renew(layout),
  store: store(layout),
  release: release(layout),
});

/** The plain hash layout has no versions: its entries are all `-`. */
export const HASH_LEASES: LeaseScripts = leaseScripts({
  present: IN_HASH,
  entry: "redis.call('PTTL', KEYS[1]), redis.call('HMGET', KEYS[1], 'd', 's')",
  put: `if isMine then
${putInPlace(3)}
end
${put(3)}`,
});

export const STRING_LEASES: LeaseScripts = leaseScripts({
  present: IN_STRING,
  entry: "redis.call('GET', KEYS[1]), redis.call('TIME')",
  put: putString(3),
});
