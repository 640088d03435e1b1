export { TestClock } from "./test-clock.ts";
export { gate, type Gate } from "./gate.ts";
export { flush, outcome, type Outcome } from "./outcome.ts";
export { scriptedBackend, type ScriptedBackend, type ScriptedBackendOptions } from "./scripted-backend.ts";
export type { ScriptedCall, ScriptedOperation, ScriptedStep } from "./scripted-calls.ts";
export type { LoseOptions, ScriptedCoherence, ScriptedReport } from "./scripted-link.ts";
export type { ScriptedStore } from "./scripted-store.ts";
export { mapTier } from "./map-tier.ts";
export { createTestCache, type TestCacheOptions } from "./test-cache.ts";
