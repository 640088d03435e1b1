/** Node, and what stands in for it. Absent in a worker or a browser. */
const { process: node } = globalThis as { readonly process?: Partial<NodeJS.Process> };

type Types = Pick<typeof import("node:util").types, "isAnyArrayBuffer" | "isMap" | "isSet">;

const WEB_TYPES = {
  isAnyArrayBuffer: (value) => value instanceof ArrayBuffer,
  isMap: (value) => value instanceof Map,
  isSet: (value) => value instanceof Set,
} as Types;

/** Kinds of values; in Node those of other realms too. */
export const types: Types = /* @__PURE__ */ (() => node?.getBuiltinModule?.("node:util").types ?? WEB_TYPES)();

/** What workers have, code included. */
const WORKER_HEAP_BYTES = 128 * 1024 * 1024;

/** How large the heap may become, in bytes. With `nodejs_compat` a worker has no such module, or one that says 0. */
export const heapLimit = (): number =>
  node?.getBuiltinModule?.("node:v8")?.getHeapStatistics().heap_size_limit || WORKER_HEAP_BYTES;
