export { TestClock } from "./test-clock.ts";
export { gate, type Gate } from "./gate.ts";
export { flush, outcome, type Outcome } from "./outcome.ts";
export {
  scriptedBackend,
  type ScriptedBackend,
  type ScriptedBackendOptions,
  type ScriptedCall,
  type ScriptedOperation,
  type ScriptedStep,
} from "./scripted-backend.ts";
export type { LoseOptions, ScriptedCoherence, ScriptedReport } from "./scripted-link.ts";
export type { ScriptedStore } from "./scripted-store.ts";
export { mapTier, type MapTierOptions } from "./map-tier.ts";
export { createTestCache, type TestCacheOptions } from "./test-cache.ts";
export { describeBackend, type DescribeBackendOptions } from "./describe-backend.ts";
export { describeLocalTier } from "./describe-local-tier.ts";
export { describeFormat, type KeptKind } from "./describe-format.ts";
export { describeCompressor } from "./describe-compressor.ts";
