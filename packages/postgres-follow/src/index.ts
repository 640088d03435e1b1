export { follow, type Follower, type FollowerRole, type FollowerStats } from "./follow.ts";
export { consume, type ConsumedChange, type ConsumedEvent, type ConsumeOptions } from "./consume.ts";
export type { FollowOptions } from "./options.ts";
export type { FollowLogger } from "./warnings.ts";
export type { Followed } from "./outbox.ts";
export type { FollowPool } from "./pool.ts";
export { emitted, MissingColumnError, type MessageStatement } from "./targets.ts";
export type { AnyRow, ChangeKind, RowChange, Rule, TableRules, Tables, Targets } from "./targets.ts";
