export { follow, type Follower, type FollowerRole, type FollowerStats } from "./follow.ts";
export { consume, type ConsumedChange, type ConsumedEvent, type ConsumeOptions } from "./consume.ts";
export type { FollowOptions } from "./options.ts";
export type { FollowLogger } from "./warnings.ts";
export type { Followed } from "./outbox.ts";
export type { FollowPool } from "./pool.ts";
export {
  emitted,
  MissingColumnError,
  type MessageStatement,
  type AnyRow,
  type ChangeKind,
  type RowChange,
  type Rule,
  type TableRules,
  type Tables,
  type Targets,
} from "./targets.ts";
