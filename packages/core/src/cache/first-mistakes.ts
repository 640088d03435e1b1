import type { Backend } from "../contracts/capabilities.ts";
import { systemClock } from "../contracts/clock.ts";
import type { Reporting } from "../engine/context.ts";
import { describe } from "../primitives/duration.ts";
import { notify } from "../primitives/event-port.ts";
import { builtin } from "../primitives/platform.ts";

type Notice = NonNullable<Reporting["notice"]>;
type Warn = (kind: string, text: string) => void;

/** Warns, once of each kind, of mistakes in what a cache stores that nothing else shows. */
export function firstMistakes(backend: Backend | undefined, shown: (key: string) => string, warn: Warn): Notice {
  const warned = new Set<string>();
  // Another format may restore instances, and so may a schema.
  const losesMethods = /^(?:json|msgpack|v8)$/.test(backend?.format.id ?? "");
  const look: Notice = ({ remote, schema }, key, value, ttl) => {
    const part = UNLIKELY.exec(key)?.[0];
    const isLost = losesMethods && remote && !schema && !warned.has("CLASS_INSTANCE");
    const name = isLost ? instanceIn(value) : undefined;
    const isShort = typeof ttl === "number" && ttl > 0 && ttl < 1_000;
    const found = {
      SHORT_TTL: isShort && `its ttl is ${ttl} ms; did you mean "${ttl}s"? If not, "${ttl}ms"`,
      UNLIKELY_KEY: part && `it has ${describe(part)} in it: all without an id share one value`,
      CLASS_INSTANCE: name && `instances of ${name} lose their methods in ${remote?.label}; ${ADVICE}`,
    };
    for (const [kind, text] of Object.entries(found)) {
      if (!text || warned.has(kind)) continue;
      warned.add(kind);
      warn(kind, `key ${describe(shown(key))}: ${text}. Shown once, outside production`);
    }
  };
  // A getter or a proxy may throw.
  return (...given) => notify(() => look(...given), undefined);
}

/** Between separators, or at the end: made by a template of nothing. */
const UNLIKELY = /(?:^|[:/|?&=,#])(?:undefined|NaN)(?=$|[:/|?&=,#])|[-_.](?:undefined|NaN)$|\[object \w+\]/;
const ADVICE = "cache plain data: https://github.com/hotset/hotset/blob/main/docs/guide/formats.md#class-instances";

/** The class of an instance with methods, in plain data. Classes of the runtime are no mistake. */
function instanceIn(value: unknown): string | undefined {
  const parts = new Set<unknown>([value]);
  for (const part of parts) {
    if (typeof part !== "object" || part === null || ArrayBuffer.isView(part)) continue;
    const prototype = Object.getPrototypeOf(part) as object | null;
    if (prototype === null || prototype === Object.prototype || Array.isArray(part)) {
      if (parts.size < MOST_PARTS) for (const each of Object.values(part)) parts.add(each);
    } else if (Object.getOwnPropertyNames(prototype).length > 1) {
      const { name, toString } = prototype.constructor;
      if (!toString.call(prototype.constructor).includes("[native code]")) return name;
    }
  }
  return undefined;
}

const MOST_PARTS = 1_000;

/** The caches of this process that are open over a backend, by name. */
const counts = new Map<string, { open: number; isWarned: boolean }>();

/**
 * Counts a cache over a backend. Many of one name are a mistake that nothing else shows: a cache that is built for each
 * request, or by a module that a development server loads again, has its own connection and copies. With
 * `NODE_DEBUG=hotset` an open one says every five seconds that it keeps the program alive.
 *
 * @param warn is called with the text, once for each name.
 * @returns ends the count of this one.
 */
export function countOpen(name: string, warn: (text: string) => void): () => void {
  let count = counts.get(name);
  if (count === undefined) counts.set(name, (count = { open: 0, isWarned: false }));
  count.open += 1;
  if (count.open >= MANY && !count.isWarned) {
    count.isWarned = true;
    warn(
      `${count.open} caches of this name are open, each with its own connections and copies: ` +
        "share one; where hot reload loads modules again, keep it on globalThis",
    );
  }
  const debug = builtin("node:util")?.debuglog("hotset");
  let cancel = (): void => undefined;
  const remind = (): void => {
    cancel = systemClock.schedule(() => {
      debug!(`cache ${describe(name)} is open, and keeps this program alive until close()`);
      remind();
    }, 5_000);
  };
  if (debug?.enabled) remind();
  return () => {
    cancel();
    count.open -= 1;
    // A name that was warned about is kept: one warning is enough.
    if (count.open === 0 && !count.isWarned) counts.delete(name);
  };
}

const MANY = 20;
