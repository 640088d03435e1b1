/** Credentials of an API client. */
interface Credentials {
  readonly host: string;
  readonly clientToken: string;
  readonly clientSecret: string;
  readonly accessToken: string;
}

/**
 * The Authorization of a POST to Akamai's APIs: a key of the instant, made of the secret, signs the request and the hash
 * of its body.
 *
 * @see https://techdocs.akamai.com/developer/docs/edgegrid
 */
export async function edgeGrid(
  { host, clientToken, clientSecret, accessToken }: Credentials,
  path: string,
  body: string,
  at: { readonly time: Date; readonly nonce: string } = { time: new Date(), nonce: crypto.randomUUID() },
): Promise<string> {
  const timestamp = at.time.toISOString().replace(/^(\d+)-(\d+)-(\d+)T([\d:]+)\..*$/, "$1$2$3T$4+0000");
  const unsigned = `EG1-HMAC-SHA256 client_token=${clientToken};access_token=${accessToken};timestamp=${timestamp};nonce=${at.nonce};`;
  const hash = base64(await crypto.subtle.digest("SHA-256", utf8(body)));
  const signed = ["POST", "https", host, path, "", hash, unsigned].join("\t");
  const key = await hmac(clientSecret, timestamp);
  return `${unsigned}signature=${await hmac(key, signed)}`;
}

async function hmac(secret: string, text: string): Promise<string> {
  const key = await crypto.subtle.importKey("raw", utf8(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return base64(await crypto.subtle.sign("HMAC", key, utf8(text)));
}

const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const base64 = (bytes: ArrayBuffer): string => btoa(String.fromCharCode(...new Uint8Array(bytes)));
