import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "compose: a token is believed under versions that a replica may have answered",
    promises: ["C426"],
    rule: "const source = isAfter ? readByPin(versions) : ",
    broken: "const source = isAfter ? versions : ",
  },
  {
    name: "compose: a race is won by the first answer",
    promises: ["C122"],
    rule: "near.then((entry) => (this.#isFresh(entry) ? this.#nearAlone(request, entry) : undefined)),",
    broken: "near.then((entry) => (entry === undefined ? { entry, isFar: false } : this.#nearAlone(request, entry))),",
  },
  {
    name: "compose: a stale copy in near hides a fresh entry in far",
    promises: ["C122"],
    rule: "return this.#isFresh(entry) ? this.#nearAlone(request, entry) : this.#better(",
    broken: "return entry !== undefined ? this.#nearAlone(request, entry) : this.#better(",
  },
  {
    name: "compose: a read fails when one side fails",
    promises: ["C122"],
    rule: 'this.#parts.sides.answered("read", [held, found]);',
    broken: 'for (const each of [held, found]) this.#parts.sides.answered("read", [each]);',
  },
  {
    name: "compose: far has its full time after near has spent its own",
    promises: ["C122"],
    rule: "budgetMs - (askedFarAt - startedAt)",
    broken: "budgetMs",
  },
  {
    name: "compose: versions that are older than an entry hide it",
    promises: ["C52"],
    rule: "again ??= this.tagCheckFor(request);",
    broken: "again ??= tags;",
  },
  {
    name: "compose: versions that are older than an entry make it stale",
    promises: ["C52"],
    rule: "if (checked === entry) return entry;",
    broken: "if (checked !== undefined) return checked;",
  },
  {
    name: "compose: a second check that fails replaces the verdict of the first",
    promises: ["C52", "C125"],
    rule: "return again(entry).catch(() => checked);",
    broken: "return again(entry);",
  },
  {
    name: "compose: nearTtl counts from when the copy is written",
    promises: ["C121"],
    rule: "endingBy(entry, askedFarAt + plan.nearTtlMs)",
    broken: "endingBy(entry, this.#parts.clock.now() + plan.nearTtlMs)",
  },
  {
    name: "compose: a copy lives longer than the one that it was made of",
    promises: ["C121"],
    rule: "if (entry.expiresAt <= until) return entry;",
    broken: "if (entry.expiresAt === until) return entry;",
  },
  {
    name: "compose: an entry read before a change is copied to near",
    promises: ["C124"],
    rule: "if (!changes.mayCopy(mark, entry)) return;",
    broken: "",
  },
  {
    name: "compose: a refill does not settle the removal of an older entry",
    promises: ["C123"],
    rule: "    recovery.forgetKey(key);",
    broken: "",
  },
  {
    name: "compose: a refresh asks far for a lease without the version in near",
    promises: ["C125"],
    rule: "if (lead === far && entry.version !== undefined) request.saw?.(entry.version);",
    broken: "",
  },
  {
    name: "compose: entries are not checked against tag versions",
    promises: ["C125"],
    rule: "if (versions === undefined) return",
    broken: "if (versions === undefined || clock.now() >= 0) return",
  },
  {
    name: "compose: a copy that near cannot write is left out in silence",
    promises: ["C354"],
    rule: "sides.near.failed(key, error);",
    broken: "",
  },
];
