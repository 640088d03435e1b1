import { TESTS } from "../files.ts";
import type { Section } from "../row.ts";

const TOOLKIT = "@hotset/redis-toolkit";
const STREAMS = "@hotset/redis-toolkit/streams";
const KEY_SPACE = "packages/redis-toolkit/src/keys/key-space.test.ts";

export const SECTION: Section = {
  title: "redis_interface: types",
  rows: [
    {
      id: "R0-83",
      what: "`RedisEntryId`: given, `*`, `$` and `>`",
      here: "`EntryId`, `NewId`, `StartId`: each call takes those that fit",
      module: STREAMS,
      test: ["packages/redis-toolkit/src/streams/entry-id.test.ts", "A50: each kind of id has its own texts"],
      mutant: "streams: an id above 64 bits is sent",
    },
    {
      id: "R0-84",
      what: "`RedisKey.tenant_aware_key`",
      here: "keys given to `redis.tenant(id)` lie below it",
      module: TOOLKIT,
      test: [KEY_SPACE, " lie below "],
      mutant: "R0-01 keys of a tenant have no prefix",
    },
    {
      id: "R0-85",
      what: "`RedisKey.tenant_unaware_key`",
      here: "names in replies of a tenant have no prefix; keys of `redis` have none",
      module: TOOLKIT,
      test: [KEY_SPACE, "come back without the prefix, as text and as bytes"],
    },
    {
      id: "R0-86",
      what: "`RedisScanType`",
      here: "`scan({ type })`",
      module: TOOLKIT,
      test: [TESTS.commands, "A31: a scan finds every key once, of all primaries, and every field"],
    },
    {
      id: "R0-87",
      what: "`StreamCapKind`: by length or by id",
      here: "`maxLen`, `minId`",
      module: STREAMS,
      test: [TESTS.streams, "A49: appending trims to a length or to an id"],
    },
    {
      id: "R0-88",
      what: "`StreamCapTrim`: exact, or almost",
      here: '`trim: "exact"`, `"approximate"`',
      module: STREAMS,
      test: [TESTS.streams, "A49: appending trims to a length or to an id"],
    },
    {
      id: "R0-89",
      what: "`RedisValue.as_bytes`, `as_string`",
      here: "`getBytes`, `get`",
      module: TOOLKIT,
      test: [TESTS.commands, "A30: many fields grow in one step"],
    },
    {
      id: "R0-90",
      what: "nil cannot be written",
      here: "`set` takes text, finite numbers and Buffers, and refuses all else",
      module: TOOLKIT,
      test: [TESTS.rows, "R0-90: nothing, and no number, cannot be written"],
    },
  ],
};
