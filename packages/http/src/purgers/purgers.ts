import { ConfigurationError } from "@hotset/core";
import { oneOf, readOptions } from "@hotset/core/internal";
import type { Cdn } from "../cache/cdn.ts";
import { cdnOf, checkOptions, endpointOf, type CdnOptions, type PurgeCall } from "./cdn-of.ts";
import { edgeGrid } from "./edge-grid.ts";

const json = (url: string, headers: Readonly<Record<string, string>>, body: unknown): PurgeCall => ({
  method: "POST",
  url,
  headers: { accept: "application/json", "content-type": "application/json", ...headers },
  body: JSON.stringify(body),
});

/** Visible ASCII without separators. */
const VISIBLE = /^[!-+\--~]+$/;

/** Options of {@link fastly}. */
export interface FastlyOptions extends CdnOptions {
  /** The id of the service. */
  readonly service: string;
  /** An API token with the scope `purge_select`. */
  readonly token: string;
}

/**
 * Fastly, by surrogate keys.
 *
 * @throws {ConfigurationError} for an option that is missing or bad.
 * @see https://www.fastly.com/documentation/reference/http/http-headers/Surrogate-Key/
 * @see https://www.fastly.com/documentation/reference/api/purging/
 */
export function fastly(options: FastlyOptions): Cdn {
  checkOptions("fastly", options, ["service", "token"], []);
  const { service, token } = options;
  const endpoint = endpointOf("fastly", options.endpoint ?? "https://api.fastly.com");
  const url = `${endpoint}/service/${encodeURIComponent(service)}/purge`;
  return cdnOf(
    {
      name: "fastly",
      field: {
        name: "surrogate-key",
        separator: " ",
        maxBytes: 16_384,
        maxKeys: 16_384,
        maxKeyBytes: 1_024,
        plain: VISIBLE,
      },
      controls: ["cdn-cache-control", "surrogate-control"],
      keysPerCall: 256,
      calls: (keys, soft) => [
        json(url, { "fastly-key": token, ...(soft && { "fastly-soft-purge": "1" }) }, { surrogate_keys: keys }),
      ],
    },
    options,
  );
}

/** Options of {@link cloudflare}. */
export interface CloudflareOptions extends CdnOptions {
  /** The id of the zone. */
  readonly zone: string;
  /** An API token with the permission Cache Purge. */
  readonly token: string;
}

/**
 * Cloudflare, by cache tags. It has no soft purges: those are hard.
 *
 * @throws {ConfigurationError} for an option that is missing or bad.
 * @see https://developers.cloudflare.com/cache/how-to/purge-cache/purge-by-tags/
 */
export function cloudflare(options: CloudflareOptions): Cdn {
  checkOptions("cloudflare", options, ["zone", "token"], []);
  const { zone, token } = options;
  const endpoint = endpointOf("cloudflare", options.endpoint ?? "https://api.cloudflare.com");
  const url = `${endpoint}/client/v4/zones/${encodeURIComponent(zone)}/purge_cache`;
  return cdnOf(
    {
      name: "cloudflare",
      field: {
        name: "cache-tag",
        separator: ",",
        maxBytes: 16_000,
        maxKeys: 1_000,
        maxKeyBytes: 1_024,
        plain: VISIBLE,
      },
      keysPerCall: 100,
      calls: (keys) => [json(url, { authorization: `Bearer ${token}` }, { tags: keys })],
      refuses: (body) => !/"success"\s*:\s*true/.test(body),
    },
    options,
  );
}

/** Options of {@link akamai}: credentials of an API client with access to Fast Purge. */
export interface AkamaiOptions extends CdnOptions {
  /** `akab-....purge.akamaiapis.net`. */
  readonly host: string;
  /** `client_token` of its credentials. */
  readonly clientToken: string;
  /** `client_secret`. */
  readonly clientSecret: string;
  /** `access_token`. */
  readonly accessToken: string;
  /** Which servers are purged. @default 'production' */
  readonly network?: "production" | "staging" | undefined;
}

/**
 * Akamai, by cache tags (Fast Purge v3). A soft purge invalidates, a hard one deletes.
 *
 * @throws {ConfigurationError} for an option that is missing or bad.
 * @see https://techdocs.akamai.com/purge-cache/reference/api
 */
export function akamai(options: AkamaiOptions): Cdn {
  checkOptions("akamai", options, ["host", "clientToken", "clientSecret", "accessToken"], ["network"]);
  const { host } = options;
  const { network } = readOptions(options, NETWORK, "akamai: ", ConfigurationError);
  const endpoint = endpointOf("akamai", options.endpoint ?? `https://${host}`);
  return cdnOf(
    {
      name: "akamai",
      field: {
        name: "edge-cache-tag",
        separator: ",",
        maxBytes: 8_000,
        maxKeys: 128,
        maxKeyBytes: 128,
        plain: /^[A-Za-z0-9!#$%'+./^_`|~-]+$/,
      },
      // A body of 50,000 bytes.
      keysPerCall: 5_000,
      bytesPerCall: 48_000,
      calls: async (keys, soft) => {
        const path = `/ccu/v3/${soft ? "invalidate" : "delete"}/tag/${network}`;
        const call = json(`${endpoint}${path}`, {}, { objects: keys });
        const authorization = await edgeGrid(options, path, call.body!);
        return [{ ...call, headers: { ...call.headers, authorization } }];
      },
    },
    options,
  );
}

const NETWORK = { network: oneOf("production", "staging") };

/** Options of {@link bunny}. */
export interface BunnyOptions extends CdnOptions {
  /** The id of the pull zone. */
  readonly pullZone: string;
  /** The key of the account's API. */
  readonly accessKey: string;
}

/**
 * bunny.net, by tags: one for each call. It has no soft purges: those are hard.
 *
 * @throws {ConfigurationError} for an option that is missing or bad.
 * @see https://docs.bunny.net/cdn/purge-cache
 */
export function bunny(options: BunnyOptions): Cdn {
  checkOptions("bunny", options, ["pullZone", "accessKey"], []);
  const { pullZone, accessKey } = options;
  const endpoint = endpointOf("bunny", options.endpoint ?? "https://api.bunny.net");
  const url = `${endpoint}/pullzone/${encodeURIComponent(pullZone)}/purgeCache`;
  return cdnOf(
    {
      name: "bunny",
      // `*` would be a pattern.
      field: {
        name: "cdn-tag",
        separator: ",",
        maxBytes: 1_024,
        maxKeys: 1_024,
        maxKeyBytes: 1_024,
        plain: /^[!-)+\--~]+$/,
      },
      keysPerCall: 1,
      calls: ([key]) => [json(url, { accesskey: accessKey }, { CacheTag: key })],
    },
    options,
  );
}

/** Options of {@link varnish}. */
export interface VarnishOptions extends Omit<CdnOptions, "endpoint"> {
  /** Every Varnish server: a purge has to reach all of them. */
  readonly urls: readonly string[];
}

/**
 * Varnish with vmod xkey, and the VCL of the guide: `PURGE` with the field `xkey-purge` or `xkey-softpurge`.
 *
 * @throws {ConfigurationError} for an option that is missing or bad.
 * @see https://github.com/varnish/varnish-modules/blob/master/src/vmod_xkey.vcc
 */
export function varnish(options: VarnishOptions): Cdn {
  checkOptions("varnish", options, [], ["urls"]);
  const { urls } = options;
  const endpoints = (Array.isArray(urls) ? urls : [urls]).map((url: unknown) => endpointOf("varnish", String(url)));
  if (endpoints.length === 0) throw new ConfigurationError("varnish: urls must have the URL of each server, got none");
  return cdnOf(
    {
      name: "varnish",
      // A field of more than 8 KB ends the connection (http_resp_hdr_len).
      field: { name: "xkey", separator: " ", maxBytes: 8_000, maxKeys: 8_000, maxKeyBytes: 1_024, plain: VISIBLE },
      keysPerCall: 1_000,
      bytesPerCall: 7_000,
      calls: (keys, soft) =>
        endpoints.map((endpoint) => ({
          method: "PURGE",
          url: `${endpoint}/`,
          headers: { [soft ? "xkey-softpurge" : "xkey-purge"]: keys.join(" ") },
        })),
    },
    options,
  );
}
