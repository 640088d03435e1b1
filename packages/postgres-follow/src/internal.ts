// For `hotset doctor`: changes without notice.
export { missing, TABLES, UNBOUNDED } from "./requirements.ts";
export { slotsOf } from "./slot.ts";
