/**
 * What hotset asks of the runtime beside web globals. Node, Bun and Deno have all of it. A worker or a browser has no
 * modules of Node: then nothing is published on diagnostics channels, loads have no async context (a load that asks for
 * its own key is not refused, but ends with its time, and `inherit` is refused), and timers are those of the web.
 */
interface Modules {
  readonly "node:async_hooks": typeof import("node:async_hooks");
  readonly "node:crypto": typeof import("node:crypto");
  readonly "node:diagnostics_channel": typeof import("node:diagnostics_channel");
  readonly "node:util": typeof import("node:util");
}

/** The globals that tell which runtime it is. */
export interface Runtime {
  readonly navigator?: { readonly userAgent?: string };
  readonly process?: { readonly version?: string };
  readonly Cloudflare?: { readonly compatibilityFlags: Readonly<Record<string, boolean>> };
}

const ACROSS_REQUESTS = "handle_cross_request_promise_resolution";

/** Whether the runtime is workerd, with or without its modules of Node. */
export const isWorker = ({ navigator }: Runtime): boolean => navigator?.userAgent === "Cloudflare-Workers";

/** There, timers end with their request, and a request without one must wait for no other. */
export const IN_WORKER: boolean = /* @__PURE__ */ (() => isWorker(globalThis))();

/** Whether a request may resolve the promise of another: in workerd from 2024-10-14 on. */
export const SHARES_PROMISES: boolean = /* @__PURE__ */ (() =>
  !IN_WORKER || (globalThis as Runtime).Cloudflare?.compatibilityFlags[ACROSS_REQUESTS] === true)();

/** Gets a module of Node without an import (decision 0027), so a bundle for workers has nothing to resolve. */
export function builtin<Id extends keyof Modules>(id: Id): Modules[Id] | undefined {
  // Optional at each step: bundlers for browsers put a `process` in place that has no such method.
  const { process: node } = globalThis as { readonly process?: Partial<NodeJS.Process> };
  return node?.getBuiltinModule?.(id);
}

/** Whether a load knows what its loader asks of caches. */
export const HAS_ASYNC_CONTEXT: boolean = /* @__PURE__ */ (() => builtin("node:async_hooks") !== undefined)();

/** Whether mistakes are looked for: everywhere but in production, and where nobody says which it is. */
export const isDevelopment = (): boolean => typeof process !== "undefined" && process.env["NODE_ENV"] !== "production";

/** Random bytes, from a system call or the generator of the web. */
export function randomBytes(count: number): Uint8Array {
  // Not loaded at import: node:crypto takes nearly as long as all of core.
  return builtin("node:crypto")?.randomBytes(count) ?? globalThis.crypto.getRandomValues(new Uint8Array(count));
}

/** UTF-8. */
export const bytesOf = (text: string): Uint8Array =>
  typeof Buffer === "undefined" ? new TextEncoder().encode(text) : Buffer.from(text);

/** The number of bytes that {@link bytesOf} makes. */
export const byteLength = (text: string): number =>
  typeof Buffer === "undefined" ? new TextEncoder().encode(text).byteLength : Buffer.byteLength(text);

type Types = Pick<
  typeof import("node:util").types,
  "isAnyArrayBuffer" | "isDate" | "isGeneratorObject" | "isMap" | "isSet" | "isUint8Array"
>;

const tagOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

/** Types by the name that a value gives itself: the web has no other test for values of other realms. */
const WEB_TYPES = {
  isAnyArrayBuffer: (value) => /^(?:Shared)?ArrayBuffer$/.test(tagOf(value)),
  isDate: (value) => tagOf(value) === "Date",
  isGeneratorObject: (value) => /^(?:Async)?Generator$/.test(tagOf(value)),
  isMap: (value) => tagOf(value) === "Map",
  isSet: (value) => tagOf(value) === "Set",
  isUint8Array: (value) => tagOf(value) === "Uint8Array",
} as Types;

/** Kinds of values, those of other realms too. */
export const types: Types = /* @__PURE__ */ (() => builtin("node:util")?.types ?? WEB_TYPES)();
