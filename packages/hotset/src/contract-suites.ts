export {
  describeBackend,
  describeCompressor,
  describeFormat,
  describeLocalTier,
  describeSeal,
  describeSwapStore,
} from "@hotset/testing/contract-suites";
export type {
  DescribeBackendOptions,
  DescribeFormatOptions,
  DescribeSwapStoreOptions,
  KeptKind,
} from "@hotset/testing/contract-suites";
