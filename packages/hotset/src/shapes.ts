export { shaped, type ShapedOptions } from "@hotset/core/shapes";
