// Presence of members, and of users by their connections.

export { presence, type ListOptions, type Presence, type PresenceOptions } from "./presence.ts";
export { userPresence, type UserPresence, type UserPresenceOptions } from "./user-presence.ts";
