export { shaped, type ShapedOptions } from "./shaped.ts";
