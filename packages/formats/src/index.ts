export { brotli } from "./brotli.ts";
export { gzip } from "./gzip.ts";
export { v8 } from "./v8.ts";
