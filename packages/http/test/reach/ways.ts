/** What must not be reached. */
export interface Secrets {
  readonly objects: ReadonlySet<object>;
  readonly numbers: ReadonlySet<number>;
  /** Any text that has it. */
  readonly text: string;
}

/**
 * Ways from these objects to a secret: over properties of each kind, getters and symbols, over prototypes, and entries of
 * maps and sets. Shorter ways first.
 */
export function waysTo(given: Readonly<Record<string, object>>, secrets: Secrets): readonly string[] {
  const ways: string[] = [];
  const known = new Set<object>();
  const open: { readonly way: string; readonly value: unknown }[] = Object.entries(given).map(([way, value]) => ({
    way,
    value,
  }));
  for (let next = open.shift(); next !== undefined && known.size < MOST_OBJECTS; next = open.shift()) {
    const { way, value } = next;
    if (
      typeof value === "string" ? value.includes(secrets.text) : typeof value === "number" && secrets.numbers.has(value)
    )
      ways.push(way);
    if ((typeof value !== "object" && typeof value !== "function") || value === null || known.has(value)) continue;
    if (IGNORED.has(value)) continue;
    known.add(value);
    if (secrets.objects.has(value)) ways.push(way);
    else for (const [step, each] of stepsFrom(value)) open.push({ way: `${way}${step}`, value: each });
  }
  return ways;
}

function* stepsFrom(object: object): Generator<readonly [step: string, value: unknown]> {
  for (let each: object | null = object; each !== null && !IGNORED.has(each); each = Object.getPrototypeOf(each))
    for (const name of Reflect.ownKeys(each)) yield [`.${String(name)}`, valueOf(object, each, name)];
  if (object instanceof Map || object instanceof Set || object instanceof Headers) {
    for (const entry of object.entries()) yield* entry.map((each) => ["[entry]", each] as const);
  }
}

/** Getters are asked as a handler asks them, but for those that consume a body. */
function valueOf(object: object, holder: object, name: string | symbol): unknown {
  try {
    const found = Reflect.getOwnPropertyDescriptor(holder, name);
    return found !== undefined && "value" in found ? found.value : Reflect.get(holder, name, object);
  } catch {
    return undefined;
  }
}

/** What all of a process have. */
const IGNORED = new Set<object>([globalThis, process, Object.prototype, Function.prototype, Array.prototype]);
const MOST_OBJECTS = 200_000;
