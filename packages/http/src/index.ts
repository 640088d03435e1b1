export { parseDirectives, type Directives } from "./semantics/directives.ts";
export type { FieldLine, FieldLines, FieldLimits } from "./semantics/fields.ts";
export { freshnessOf, type Exchange, type Freshness, type Head } from "./semantics/freshness.ts";
export { decideReuse, demandsOf, type Demands, type Held, type Reuse } from "./semantics/reuse.ts";
export { DEFAULT_SETTINGS, type Settings, type WindowsMs } from "./semantics/settings.ts";
export { decideStore, type NotStored, type StoreDecision, type StoredRequest } from "./semantics/storing.ts";
export { freshen } from "./semantics/updating.ts";
