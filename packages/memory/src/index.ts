export { memory, type Bytes, type MemoryOptions } from "./memory.ts";
