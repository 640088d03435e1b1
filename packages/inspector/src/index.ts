export { inspector, type Inspector } from "./inspector.ts";
export type { Access, Authorize, FollowFigures, InspectorOptions, ValuePlace } from "./options.ts";
export type { Client } from "./server/guard.ts";
