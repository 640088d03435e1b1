import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import { ConfigurationError, InvalidArgumentError, type Awaitable } from "@hotset/core";
import { callback, kindOf, oneOf, option, readOptions, text, type OptionTable } from "@hotset/core/internal";
import {
  cluster,
  fromClient,
  sentinel,
  single,
  type ClientConnection,
  type Connection,
  type ConnectionOptions,
  type HttpConnection,
  type RedisClientLike,
  type TlsOptions,
  type TlsSource,
} from "@hotset/redis";
import { list, lookUp, port, readFlag, readWhole, secret, word, type Environment, type Found } from "./environment.ts";
import type { RedisOptions, TlsFiles } from "./options.ts";

/** Where Redis is, and who asks. The credentials are not part of the connection, so no URL holds them. */
export interface Address {
  readonly connection: Connection | ClientConnection | HttpConnection;
  /** The same server, another database. `undefined` for a cluster, which has one, and where a connection was given. */
  readonly inDatabase: (database: number) => Connection | undefined;
  readonly username: string | undefined;
  readonly password: string | (() => Awaitable<string>) | undefined;
}

/** One part of an address, and whether it was given as an option, by name, or by a variable. */
interface Part<T> extends Found<T> {
  readonly isOption: boolean;
}

/**
 * Opens no socket.
 *
 * @throws {ConfigurationError} for what can never work; it names the option or variable, and shows no secret.
 */
export function resolveAddress(options: RedisOptions, environment: Environment): Address {
  readOptions(options, SHAPES, "", ConfigurationError);
  const parts = new Parts(options, environment);
  const kinds = parts.kinds();
  const { client, connection } = options;
  if (client !== undefined) return own("client", connectionOver(client), parts);
  if (connection !== undefined) return own("connection", connection, parts);
  const [kind, other] = kinds;
  if (kind !== undefined && other !== undefined) throw twoPlaces(kind.name, other.name);
  parts.checkHost(kind);
  const username = parts.username();
  const password = parts.password();
  const { usedUrl } = parts;
  const fromUrl = usedUrl === undefined ? undefined : credentialsOf(usedUrl.value);
  if (username !== undefined && password === undefined && fromUrl?.password === undefined)
    throw new ConfigurationError(
      `${username.name} was given without a password; give both, or neither. For a user with nopass it is empty: password: "", or redis://user:@host`,
    );
  if (password?.value === "" && username === undefined && fromUrl?.username === undefined)
    throw new ConfigurationError(`${password.name} is empty, as for a user with nopass; give the username too`);
  return {
    connection: naming(kind?.name ?? "host", () => connectionOf(options, parts)),
    inDatabase: (database) => (parts.clusterUrls() === undefined ? connectionOf(options, parts, database) : undefined),
    username: username?.value ?? fromUrl?.username,
    password: password?.value ?? fromUrl?.password,
  };
}

const twoPlaces = (one: string, other: string): ConfigurationError =>
  new ConfigurationError(`${one} and ${other} both say where Redis is; give one of them`);

const isList = (given: unknown): boolean =>
  Array.isArray(given) && [...given].every((each: unknown) => typeof each === "string");
const isIndex = (given: unknown): boolean => Number.isSafeInteger(given) && (given as number) >= 0;
const isObject = (given: unknown): boolean => typeof given === "object" && given !== null && !Array.isArray(given);
// No error shows a given value: it may be a secret.
const TEXT = option("text", (given) => typeof given === "string", undefined, kindOf);
const URLS = option("a list of URLs, each as text", isList, undefined, kindOf);

/** The types that an option of the address may have, used or not. */
const SHAPES = {
  url: TEXT,
  host: TEXT,
  username: TEXT,
  sentinelName: TEXT,
  port: option("a whole number from 1 to 65535", isIndex, undefined, kindOf),
  database: option("a whole number of at least 0", isIndex, undefined, kindOf),
  password: option(
    "text, or a function that returns it",
    (given) => typeof given === "string" || typeof given === "function",
    undefined,
    kindOf,
  ),
  cluster: URLS,
  sentinels: URLS,
  resolveAddress: callback(" of { host, port }"),
  tls: option(
    "true, false or an object of TLS options",
    (given) => typeof given === "boolean" || isObject(given),
    undefined,
    kindOf,
  ),
} satisfies OptionTable;

const TLS = { servername: text(undefined), minVersion: oneOf("TLSv1.2", "TLSv1.3") };

function own(
  name: "client" | "connection",
  connection: Connection | ClientConnection | HttpConnection,
  parts: Parts,
): Address {
  const beside = parts.optionsBeside(name);
  if (beside !== undefined) throw twoPlaces(beside, name);
  const login = (["username", "password"] as const).find((option) => parts.options[option] !== undefined);
  if (name === "client" && login !== undefined)
    throw new ConfigurationError(`${login} has no effect with client; set it in the client`);
  return {
    connection,
    inDatabase: () => undefined,
    username: parts.options.username,
    password: parts.options.password,
  };
}

const connectionOver = (client: NonNullable<RedisOptions["client"]>): ClientConnection =>
  // Each of its overloads takes one kind.
  fromClient(client as RedisClientLike);

/** @param database in place of the one that is given */
function connectionOf(options: RedisOptions, parts: Parts, database?: number): Connection {
  const resolver = options.resolveAddress === undefined ? undefined : { resolveAddress: options.resolveAddress };
  const { usedUrl: url } = parts;
  const sentinels = parts.sentinels();
  const tls = parts.tls(sentinels?.urls ?? parts.clusterUrls() ?? (url === undefined ? [] : [url.value]));
  const withTls: ConnectionOptions = tls === undefined ? {} : { tls };
  if (sentinels !== undefined)
    return sentinel(database === undefined ? sentinels.urls : sentinels.urls.map((url) => inDatabase(url, database)), {
      primaryName: sentinels.name,
      ...withTls,
      ...resolver,
    });
  const nodes = parts.clusterUrls();
  if (nodes !== undefined) return cluster(nodes, { ...withTls, ...resolver });
  if (url !== undefined) {
    const complete = parts.completeUrl(url);
    return single(database === undefined ? complete : inDatabase(complete, database), withTls);
  }
  return single({
    host: parts.host()?.value ?? "localhost",
    port: parts.port()?.value ?? 6_379,
    database: database ?? parts.database()?.value ?? 0,
    ...(tls === undefined ? undefined : { tls }),
  });
}

/** The given parts of an address, each by an option or by a variable. */
class Parts {
  readonly options: RedisOptions;
  readonly #environment: Environment;

  constructor(options: RedisOptions, environment: Environment) {
    this.options = options;
    this.#environment = environment;
  }

  get #url(): Part<string> | undefined {
    return this.#part("url", { REDIS_URL: secret });
  }

  get #sentinels(): Part<readonly string[]> | undefined {
    return this.#part("sentinels", { REDIS_SENTINELS: list });
  }

  get #sentinelName(): Part<string> | undefined {
    return this.#part("sentinelName", { REDIS_SENTINEL_NAME: word });
  }

  /** The URL, unless an option hides it: its credentials are for its own server. */
  get usedUrl(): Part<string> | undefined {
    const url = this.#url;
    return this.kinds().some(({ name }) => name === url?.name) ? url : undefined;
  }

  /** The ways that were given to say where Redis is: an option hides the variables. */
  kinds(): readonly Part<unknown>[] {
    const all: (Part<unknown> | undefined)[] = [
      this.#url,
      this.#part("cluster", { REDIS_CLUSTER_URLS: list }),
      this.#sentinels,
    ];
    const given = all.filter((part) => part !== undefined);
    const fromOptions = given.filter(({ isOption }) => isOption);
    return fromOptions.length > 0 ? fromOptions : this.options.host === undefined ? given : [];
  }

  optionsBeside(own: "client" | "connection"): string | undefined {
    const names = [
      "url",
      "host",
      "port",
      "database",
      "tls",
      "cluster",
      "sentinels",
      "sentinelName",
      "connection",
    ] as const;
    return names.find((name) => name !== own && this.options[name] !== undefined);
  }

  host(): Part<string> | undefined {
    const part = this.#part("host", { REDIS_HOST: word });
    if (part === undefined || isIPv6(part.value.replace(/^\[(.*)\]$/, "$1")) || !/[:/@\s]/.test(part.value))
      return part;
    const way = part.isOption ? "port, or url" : "REDIS_PORT, or REDIS_URL";
    throw new ConfigurationError(`${part.name} must be a name or an IP address alone; give the rest by ${way}`);
  }

  /** @param kind the way by which the address is given. @throws {ConfigurationError} for parts that it would hide. */
  checkHost(kind: Part<unknown> | undefined): void {
    const isList = kind !== undefined && kind.name !== this.#url?.name;
    const host = this.host();
    if (isList && host?.isOption === kind.isOption) throw twoPlaces(kind.name, host.name);
    const name = this.#sentinelName;
    const isUsed = kind !== undefined && kind.name === this.#sentinels?.name;
    const isHidden = name?.isOption === false && (kind?.isOption === true || this.options.host !== undefined);
    if (name !== undefined && !isUsed && !isHidden)
      throw new ConfigurationError(
        `${name.name} needs ${name.isOption ? "sentinels" : "REDIS_SENTINELS"}: the addresses of the sentinels`,
      );
  }

  port(): Part<number> | undefined {
    return this.#part("port", { REDIS_PORT: port });
  }

  database(): Part<number> | undefined {
    const index = readWhole(0, 1_000_000);
    return this.#part("database", { REDIS_DB: index, REDIS_DATABASE: index });
  }

  username(): Part<string> | undefined {
    const part = this.#part("username", { REDIS_USERNAME: word });
    if (part?.value.trim() === "") throw new ConfigurationError(`${part.name} must not be blank; leave it out`);
    return this.#besideUrl(part, (url) => credentialsOf(url).username);
  }

  password(): Part<string | (() => Awaitable<string>)> | undefined {
    const part = this.#part("password", { REDIS_PASSWORD: secret });
    // Empty it is that of a user with nopass.
    if (typeof part?.value === "string" && part.value !== "") secret(part.name, part.value);
    return this.#besideUrl(part, (url) => credentialsOf(url).password);
  }

  clusterUrls(): readonly string[] | undefined {
    const [kind] = this.kinds();
    const part = this.#part("cluster", { REDIS_CLUSTER_URLS: list });
    if (part === undefined || part.name !== kind?.name) return undefined;
    if (part.value.length === 0) throw new ConfigurationError(`${part.name} must name at least one node`);
    const database = this.database();
    if (database !== undefined && database.value !== 0)
      throw new ConfigurationError(`${database.name} must be 0 or left out: a cluster has only database 0`);
    return part.value.map((address) => this.#asUrl(address));
  }

  sentinels(): { readonly urls: readonly string[]; readonly name: string } | undefined {
    const [kind] = this.kinds();
    const part = this.#sentinels;
    if (part === undefined || part.name !== kind?.name) return undefined;
    const name = this.#sentinelName;
    if (name === undefined)
      throw new ConfigurationError(
        `${part.name} needs ${part.isOption ? "sentinelName" : "REDIS_SENTINEL_NAME"}: the primary's name in the sentinels, such as "mymaster"`,
      );
    const database = this.database()?.value ?? 0;
    return { name: name.value, urls: part.value.map((url) => withDatabase(this.#asUrl(url), database)) };
  }

  /** `urls` imply TLS where they are `rediss:`; the files say how. */
  tls(urls: readonly string[]): TlsSource | undefined {
    const { options } = this;
    const files = tlsFiles(options.tls, this.#environment);
    const isSecureUrl = urls.some((url) => url.startsWith("rediss:"));
    const wanted = this.#isTlsWanted;
    const name = options.tls === undefined ? "REDIS_TLS_ENABLED" : "tls";
    if (urls.length > 0 && wanted === true && !isSecureUrl)
      throw new ConfigurationError(
        `${name} asks for TLS, but the URL is not a rediss: one; use rediss:, or leave it out`,
      );
    if (wanted === false && isSecureUrl)
      throw new ConfigurationError(`${name} refuses TLS, but the URL is a rediss: one; use redis:, or leave it out`);
    const isOn = wanted ?? isSecureUrl;
    if (!isOn && files.names.length > 0)
      throw new ConfigurationError(
        `${files.names[0]} was given without TLS; set ${options.tls === undefined ? "REDIS_TLS_ENABLED=true" : "tls"} or use a rediss: URL`,
      );
    return isOn ? files.source : undefined;
  }

  /** `url` with the database that it leaves out, and without credentials. */
  completeUrl({ value }: Part<string>): string {
    const database = this.#besideUrl(this.database(), databaseOf);
    this.#besideUrl(this.host(), (url) => partsOf(url)?.hostname);
    this.#besideUrl(this.port(), (url) => {
      const parts = partsOf(url);
      return parts === undefined ? undefined : Number(parts.port || 6_379);
    });
    return withDatabase(withoutCredentials(value), database?.value);
  }

  /** `undefined` where neither an option nor a variable says it. */
  get #isTlsWanted(): boolean | undefined {
    const { tls } = this.options;
    return tls === undefined ? lookUp(this.#environment, { REDIS_TLS_ENABLED: readFlag })?.value : tls !== false;
  }

  /** The scheme of a server in a list may be left out. */
  #asUrl(address: string): string {
    return address.includes("://") ? address : `${this.#isTlsWanted === true ? "rediss" : "redis"}://${address}`;
  }

  #part<K extends keyof RedisOptions, T extends NonNullable<RedisOptions[K]>>(
    option: K,
    names: Readonly<Record<string, (name: string, text: string) => T>>,
  ): Part<NonNullable<RedisOptions[K]>> | undefined {
    const given = this.options[option];
    if (given !== undefined) return { value: given, name: option, isOption: true };
    const found = lookUp(this.#environment, names);
    return found === undefined ? undefined : { ...found, isOption: false };
  }

  /** `part`, unless the URL names it: then both must be equal, but for a variable below an option. */
  #besideUrl<T>(part: Part<T> | undefined, read: (url: string) => unknown): Part<T> | undefined {
    const url = this.usedUrl;
    if (part === undefined || url === undefined) return part;
    const named = read(url.value);
    if (named === undefined) return part;
    if (named !== part.value && (part.isOption || !url.isOption))
      throw new ConfigurationError(`${part.name} and ${url.name} differ; give this part once`);
    return undefined;
  }
}

/** `undefined` for a unix socket. @throws {ConfigurationError} for other text, without quoting it. */
function partsOf(url: string): URL | undefined {
  if (/^unix:/i.test(url)) return undefined;
  if (!URL.canParse(url)) throw new ConfigurationError("url is not valid; give redis://host:port/database");
  return new URL(url);
}

/** They end at the last `@` before the path, as those of any URL. */
function credentialsOf(url: string): { readonly username: string | undefined; readonly password: string | undefined } {
  const [, username = "", password] = /^[a-z]+:\/\/(?:([^:/?#]*)(?::([^/?#]*))?@)?/i.exec(url) ?? [];
  const isNone = password === undefined || (password === "" && username === "");
  return naming("url", () => ({
    username: username === "" ? undefined : decodeURIComponent(username),
    password: isNone ? undefined : decodeURIComponent(password),
  }));
}

const withoutCredentials = (url: string): string => url.replace(/^([a-z]+:\/\/)[^/?#]*@/i, "$1");

function databaseOf(url: string): number | undefined {
  const digits = /^unix:/i.test(url) ? /[?&]db=(\d+)/.exec(url)?.[1] : partsOf(url)?.pathname.slice(1);
  return digits === undefined || digits === "" ? undefined : Number(digits);
}

function withDatabase(url: string, database: number | undefined): string {
  if (database === undefined || database === 0 || databaseOf(url) !== undefined) return url;
  if (/^unix:/i.test(url)) return `${url}?db=${database}`;
  const parts = new URL(url);
  parts.pathname = `/${database}`;
  return parts.href;
}

/** Whatever it names. */
function inDatabase(url: string, database: number): string {
  if (/^unix:/i.test(url)) return `${url.replace(/\?.*$/, "")}?db=${database}`;
  const parts = new URL(url);
  parts.pathname = `/${database}`;
  return parts.href;
}

/** Errors of `@hotset/redis` name its own functions: here they name the option or variable. */
function naming<T>(name: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw new ConfigurationError(`${name}: ${error.message}`);
    if (error instanceof URIError)
      throw new ConfigurationError(`${name}: a % is not followed by two hexadecimal digits`);
    throw error;
  }
}

/** Read once, so that an error comes before any connection, and again at each connection: they may be renewed. */
function tlsFiles(
  option: RedisOptions["tls"],
  environment: Environment,
): { readonly names: readonly string[]; readonly source: TlsSource } {
  const files: TlsFiles = typeof option === "object" ? option : {};
  const path = (name: keyof TlsFiles & `${string}Path`, variable: string): Found<string> | undefined => {
    const given = files[name];
    return given === undefined ? lookUp(environment, { [variable]: word }) : { value: given, name: `tls.${name}` };
  };
  const ca = path("caPath", "REDIS_TLS_CA_PATH");
  const cert = path("certPath", "REDIS_TLS_CERT_PATH");
  const key = path("keyPath", "REDIS_TLS_KEY_PATH");
  const { servername, minVersion } = files;
  readOptions(files, TLS, "tls.", ConfigurationError);
  if ((cert === undefined) !== (key === undefined))
    throw new ConfigurationError(
      `${(cert ?? key)!.name} was given without its ${cert === undefined ? "certificate" : "key"}; give both, or neither`,
    );
  const read = (): TlsOptions => ({
    ...(ca === undefined ? undefined : { ca: readPem(ca) }),
    ...(cert === undefined ? undefined : { cert: readPem(cert) }),
    ...(key === undefined ? undefined : { key: readPem(key) }),
    ...(servername === undefined ? undefined : { servername }),
    ...(minVersion === undefined ? undefined : { minVersion }),
  });
  const names = [ca, cert, key].flatMap((file) => file?.name ?? []);
  const first = read();
  return { names, source: names.length === 0 ? first : read };
}

function readPem({ name, value }: Found<string>): string {
  if (typeof value !== "string" || value.trim() === "")
    throw new ConfigurationError(`${name} must be the path of a PEM file; leave it out where there is none`);
  let text: string;
  try {
    text = readFileSync(value, "utf8");
  } catch (error) {
    throw new ConfigurationError(`${name}: ${value} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  if (!text.includes("-----BEGIN ")) throw new ConfigurationError(`${name}: ${value} is not a PEM file`);
  return text;
}
