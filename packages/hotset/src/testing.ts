export {
  answerForSwapStore,
  createTestCache,
  flush,
  forkSwapStore,
  gate,
  mapTier,
  outcome,
  scriptedBackend,
  TestClock,
  verifyHits,
} from "@hotset/testing";
export type {
  ForkSwapStoreOptions,
  Gate,
  LoseOptions,
  Outcome,
  ScriptedBackend,
  ScriptedBackendOptions,
  ScriptedCall,
  ScriptedCoherence,
  ScriptedOperation,
  ScriptedReport,
  ScriptedStep,
  ScriptedStore,
  TestCacheOptions,
} from "@hotset/testing";
export type { VerifiedHits, VerifyHitsOptions } from "@hotset/testing";
