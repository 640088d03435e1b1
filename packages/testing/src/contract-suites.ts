export { describeBackend, type DescribeBackendOptions } from "./describe-backend.ts";
export { describeLocalTier } from "./describe-local-tier.ts";
export { describeFormat, type DescribeFormatOptions, type KeptKind } from "./describe-format.ts";
export { describeCompressor } from "./describe-compressor.ts";
export { describeSeal } from "./describe-seal.ts";
export { describeSwapStore, type DescribeSwapStoreOptions } from "./describe-swap-store.ts";
