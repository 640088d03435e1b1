export { gutter } from "./gutter/gutter.ts";
export type { GutterOptions } from "./gutter/options.ts";
