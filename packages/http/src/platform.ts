/**
 * What platforms give a fetch handler of one client, next to the request. Everything else that they give, such as
 * bindings of a worker or `waitUntil`, is the same for all requests, and a load has it.
 */
export const OF_ONE_CLIENT: ReadonlySet<string> = new Set([
  // @hono/node-server: the request and the response of Node.
  ...["incoming", "outgoing"],
  // Deno: the address, and the end of the response.
  ...["remoteAddr", "completed"],
  // AWS Lambda, and its edge.
  ...["event", "requestContext", "request", "response", "callback"],
  // Netlify, Vercel.
  ...["ip", "geo", "cookies", "requestId", "url"],
]);

/** As a load has it: where it holds something of one client, that is not there. */
export function ofNoClient<T>(given: T): T {
  if (typeof given !== "object" || given === null) return given;
  const names = [...OF_ONE_CLIENT, SERVER].filter((name) => name in given);
  return names.length === 0 ? given : new Proxy(given, new Hides());
}

/** A view of an object, whose methods still have the object itself. */
class Hides<T extends object> implements ProxyHandler<T> {
  get(target: T, name: string | symbol): unknown {
    if (isHidden(name)) return undefined;
    const value: unknown = Reflect.get(target, name, target);
    if (name === SERVER) return ofNoClient(value);
    return typeof value === "function" ? (value.bind(target) as unknown) : value;
  }

  has(target: T, name: string | symbol): boolean {
    return !isHidden(name) && Reflect.has(target, name);
  }

  ownKeys(target: T): (string | symbol)[] {
    return Reflect.ownKeys(target).filter((name) => !isHidden(name));
  }

  getOwnPropertyDescriptor(target: T, name: string | symbol): PropertyDescriptor | undefined {
    if (isHidden(name)) return undefined;
    const found = Reflect.getOwnPropertyDescriptor(target, name);
    return found && { ...found, ...("value" in found && { value: this.get(target, name) }), configurable: true };
  }
}

const isHidden = (name: string | symbol): boolean => typeof name === "string" && OF_ONE_CLIENT.has(name);
/** Where one version of @hono/node-server has both. */
const SERVER = "server";
