export { knownKey, MODULES, type KnownKey, type ModuleName } from "./known-keys.ts";
export {
  heldLock,
  lockPlace,
  lockPlaces,
  releaseLock,
  type HeldLock,
  type LockKind,
  type LockPlace,
} from "./held-locks.ts";
export { limitKey, usedUnits, type LimitKey } from "./used-limits.ts";
export { sessionsOfUser, userOfSessions } from "./users.ts";
export { RIGHTS, RIGHTS_OF_STRINGS, type ModuleRights } from "./rights.ts";
export { serverNow } from "./server-now.ts";
