export { compose } from "./compose.ts";
export type { ComposeOptions } from "./options.ts";
