import { TESTS } from "../files.ts";
import type { Row, Section } from "../row.ts";

/** A call that Redis refused: the error names the command, and the reason by its code. */
const failed = (id: string, what: string, here: string, module = "@hotset/redis-toolkit"): Row => ({
  id,
  what: `\`${what}\``,
  here: `\`CommandError\` of \`${here}\`, with its \`code\``,
  module,
  test: [TESTS.errors, `${id}: `],
  mutant: "R0-92 an error does not name its command",
});
const STREAMS = "@hotset/redis-toolkit/streams";
const TOOLKIT = "@hotset/redis-toolkit";
const CODES = "Errors of all calls have `code`, `operation`, `retryable` and `maybeExecuted`";

export const SECTION: Section = {
  title: "redis_interface: errors",
  rows: [
    {
      id: "R0-91",
      what: "`InvalidConfiguration`",
      here: `\`ConfigurationError\`. ${CODES}`,
      module: TOOLKIT,
      test: [TESTS.errors, "R0-91: "],
    },
    failed("R0-92", "SetFailed", "SET"),
    failed("R0-93", "SetExFailed", "SET"),
    failed("R0-94", "SetExpiryFailed", "PEXPIRE"),
    failed("R0-95", "GetFailed", "GET"),
    failed("R0-96", "DeleteFailed", "UNLINK"),
    failed("R0-97", "StreamAppendFailed", "XADD", STREAMS),
    failed("R0-98", "StreamReadFailed", "XREAD", STREAMS),
    {
      id: "R0-99",
      what: "`StreamEmptyOrNotAvailable`",
      here: "no error: no entries",
      module: STREAMS,
      test: [TESTS.errors, "R0-99: "],
    },
    failed("R0-100", "GetLengthFailed", "XLEN", STREAMS),
    failed("R0-101", "StreamDeleteFailed", "XDEL", STREAMS),
    failed("R0-102", "StreamTrimFailed", "XTRIM", STREAMS),
    failed("R0-103", "StreamAcknowledgeFailed", "XACK", STREAMS),
    failed("R0-104", "ConsumerGroupCreateFailed", "XGROUP", STREAMS),
    failed("R0-105", "ConsumerGroupDestroyFailed", "XGROUP", STREAMS),
    failed("R0-106", "ConsumerGroupRemoveConsumerFailed", "XGROUP", STREAMS),
    failed("R0-107", "ConsumerGroupSetIdFailed", "XGROUP", STREAMS),
    failed("R0-108", "ConsumerGroupClaimFailed", "XCLAIM", STREAMS),
    {
      id: "R0-109",
      what: "`JsonSerializationFailed`",
      here: "`EncodeError`",
      module: TOOLKIT,
      test: [TESTS.errors, "R0-109: "],
    },
    {
      id: "R0-110",
      what: "`JsonDeserializationFailed`",
      here: "`CommandError`, `CORRUPT_VALUE`",
      module: TOOLKIT,
      test: [TESTS.errors, "R0-110: "],
    },
    failed("R0-111", "SetHashFailed", "HSET"),
    failed("R0-112", "SetHashFieldFailed", "HSETNX"),
    failed("R0-113", "SetAddMembersFailed", "SADD"),
    failed("R0-114", "GetHashFieldFailed", "HGET"),
    failed("R0-115", "IncrementHashFieldFailed", "HINCRBY"),
    failed("R0-116", "AppendElementsToListFailed", "RPUSH"),
    failed("R0-117", "GetListElementsFailed", "LRANGE"),
    failed("R0-118", "GetListLengthFailed", "LLEN"),
    failed("R0-119", "PopListElementsFailed", "LPOP"),
    {
      id: "R0-120",
      what: "`NotFound`",
      here: "no error: `undefined`",
      module: TOOLKIT,
      test: [TESTS.errors, "R0-120: "],
    },
    {
      id: "R0-121",
      what: "`InvalidRedisEntryId`",
      here: "`InvalidArgumentError`",
      module: STREAMS,
      test: [TESTS.errors, "R0-121: "],
    },
    {
      id: "R0-122",
      what: "`RedisConnectionError`",
      here: "`BackendUnavailableError`",
      module: TOOLKIT,
      test: [TESTS.errors, "R0-122: "],
    },
    {
      id: "R0-123",
      what: "`SubscribeError`",
      here: "`CommandError`, or `BackendUnavailableError`",
      module: "@hotset/redis-toolkit/pubsub",
      test: [TESTS.errors, "R0-123: "],
    },
    failed("R0-124", "PublishError", "PUBLISH", "@hotset/redis-toolkit/pubsub"),
    {
      id: "R0-125",
      what: "`OnMessageError`",
      here: "`failures` of a listener; the next message follows",
      module: "@hotset/redis-toolkit/pubsub",
      test: [TESTS.pubsub, "A48: a handler that fails, and a message that cannot be read, stop nothing"],
    },
  ],
};
