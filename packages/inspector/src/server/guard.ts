import type { Access, Settings } from "../options.ts";

/** The client of a request, as its server knows it. */
export interface Client {
  /** The address of its socket. @default unknown */
  readonly address?: string | undefined;
}

/** Why a request gets no answer: a status and a sentence, or the response of `authorize`. */
export type Refusal = Response | { readonly status: 403; readonly text: string };

/** @returns `undefined` for a request that is accepted. */
export async function refusalOf(
  settings: Settings,
  request: Request,
  client: Client,
  access: Access,
): Promise<Refusal | undefined> {
  if (access === "write" && !settings.write) return refused("read-only: pass inspector(caches, { write: true })");
  if (settings.authorize === undefined) {
    if (client.address === undefined) return refused(NO_ADDRESS);
    return isLocal(request, client.address) ? undefined : refused(NOT_LOCAL);
  }
  try {
    const decision: unknown = await settings.authorize(request, access);
    if (decision === true) return undefined;
    return decision instanceof Response ? decision : refused(`authorize refused access to ${WORDS[access]}`);
  } catch {
    // Its message is not ours, and may contain anything.
    return refused("authorize failed");
  }
}

/**
 * Whether a request of a page comes from a page of the same origin. A foreign page can send no header of its own
 * without a preflight, which is never granted; `Origin` and `Sec-Fetch-Site` are checked as well.
 */
export function isSameOrigin(request: Request): boolean {
  const { headers } = request;
  const site = headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return false;
  const origin = headers.get("origin");
  // Compares hosts alone, because a proxy that ends TLS changes the scheme.
  return origin === null || hostOf(origin) === hostOf(request.url);
}

/** The header that no form and no foreign page can send. */
export const OWN_HEADER = "x-hotset-inspector";

const WORDS: Readonly<Record<Access, string>> = { read: "the inspector", value: "values", write: "changes" };

const NOT_LOCAL =
  "the inspector answers only requests from this machine to http://localhost, without a proxy; " +
  "pass inspector(caches, { authorize }) to open it to others";

const NO_ADDRESS =
  "the inspector was not told the client's address: call inspect(request, { address }), or pass inspector(caches, { authorize })";

const refused = (text: string): Refusal => ({ status: 403, text });

/** A name of another host can be made to point here, and a proxy on this machine brings requests of others. */
function isLocal(request: Request, address: string): boolean {
  const { hostname } = new URL(request.url);
  const isNamedLocal = hostname === "localhost" || hostname.endsWith(".localhost") || isLoopback(hostname);
  const isForwarded = FORWARDED.some((name) => request.headers.has(name));
  return isLoopback(address) && isNamedLocal && !isForwarded;
}

const FORWARDED = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

const isLoopback = (address: string): boolean => /^(?:::ffff:)?127(?:\.\d{1,3}){3}$|^\[?::1\]?$/.test(address);

function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host : undefined;
}
