export { akamai, bunny, cloudflare, fastly, varnish } from "./purgers/purgers.ts";
export type {
  AkamaiOptions,
  BunnyOptions,
  CloudflareOptions,
  FastlyOptions,
  VarnishOptions,
} from "./purgers/purgers.ts";
export { cdnOf, CdnError, type CdnOptions, type CdnTable, type PurgeCall } from "./purgers/cdn-of.ts";
export type { Cdn } from "./cache/cdn.ts";
export type { CdnField } from "./cache/cdn-keys.ts";
