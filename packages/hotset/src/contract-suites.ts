export {
  describeBackend,
  describeCompressor,
  describeFormat,
  describeLocalTier,
  describeSeal,
} from "@hotset/core/contract-suites";
export type { DescribeBackendOptions, DescribeFormatOptions, KeptKind } from "@hotset/core/contract-suites";
