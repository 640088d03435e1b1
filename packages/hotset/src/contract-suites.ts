export {
  describeBackend,
  describeCompressor,
  describeFormat,
  describeLocalTier,
  describeSeal,
} from "@hotset/testing/contract-suites";
export type { DescribeBackendOptions, DescribeFormatOptions, KeptKind } from "@hotset/testing/contract-suites";
