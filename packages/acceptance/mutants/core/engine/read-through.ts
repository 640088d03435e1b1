import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "promotion: getOrSet promotes what was read before a fence",
    promises: ["C62"],
    rule: "now < entry.staleAt && !flight.isTainted",
    broken: "now < entry.staleAt",
  },
  {
    name: "promotion: what an abandoned read brings is kept, though no fence reaches it",
    promises: ["C62"],
    rule: "if (flight.isOver) return;\n    const { local, clock, recovery, tags, flights",
    broken: "const { local, clock, recovery, tags, flights",
  },
  {
    name: "promotion: a copy passes by the tag calls made while it was read",
    promises: ["C62"],
    rule: "const entry = found && tags.applyTo(found, now);",
    broken: "const entry = found && { ...found, tagSequence: tags.sequence };",
  },
  {
    name: "joining: a load from before a tag call is joined",
    promises: ["C49", "C66"],
    rule: "joinable === undefined ||\n      tags.hasEvents(call.namespace.keySpace, joinable.tagSequence, joinable.heardSequence)",
    broken: "joinable === undefined",
  },
  {
    name: "joining: a forced call joins an older load",
    promises: ["C11", "C49"],
    rule: "const isOwn = call.isForced || call.isAfter;",
    broken: "const isOwn = call.isAfter;",
  },
  {
    name: "joining: later callers join a load that a forced one has overtaken",
    promises: ["C11"],
    rule: "flights.supersede(call.key.local, flight);",
    broken: "{}",
  },
  {
    name: "joining: a caller with a token joins an older load",
    promises: ["C49"],
    rule: "const isOwn = call.isForced || call.isAfter;",
    broken: "const isOwn = call.isForced;",
  },
  {
    name: "joining: a failed load is left a turn too late, so late callers wait for what is over",
    promises: ["C47"],
    rule: "this.#waiters.end(flight);\n    this.#waiters.failAll",
    broken: "setImmediate(() => this.#waiters.end(flight));\n    this.#waiters.failAll",
  },
  {
    name: "joining: a failed load rejects its first caller only, and the next one loads",
    promises: ["C46"],
    rule: "this.#waiters.failAll(flight, error);",
    broken:
      "const [first, ...others] = flight.takeAll();\n    first?.reject(error);\n    for (const { call, resolve } of others) resolve(this.fetch(call, undefined));",
  },
  {
    name: "joining: callers at once load each for himself",
    promises: ["C45"],
    rule: "if (joined !== undefined) return { answer: this.#join(joined, call), flight: undefined };",
    broken: "",
  },
  {
    name: "joining: the tags of those who join are dropped",
    promises: ["C49"],
    rule: "flight.addTags(call.tags);",
    broken: "{}",
  },
  {
    name: "joining: a loader may wait for itself",
    promises: ["C50"],
    rule: "if (isLoading(this.#context, call.key.local))\n          return",
    broken: "if (false) return",
  },
  {
    name: "tags: versions are taken after the load",
    promises: ["C18", "C60", "C61"],
    rule: "this.#loadedStore.store(flight, loaded, pinned)",
    broken: "this.#loadedStore.store(flight, loaded, await this.#loadedStore.pin(flight))",
  },
  {
    name: "freshness: failures move the end of staleIfError",
    promises: ["C23"],
    rule: "this.#waiters.end(flight);\n    this.#waiters.failAll",
    broken:
      "const { fallback } = flight;\n    const now = this.#context.clock.now();\n" +
      "    if (fallback !== undefined) this.#context.local?.put(flight.key.local, { ...fallback, staleAt: now, expiresAt: now + fallback.staleIfErrorMs, deadAt: now + fallback.staleIfErrorMs }, Infinity);\n" +
      "    this.#waiters.end(flight);\n    this.#waiters.failAll",
  },
  {
    name: "freshness: a refresh does not ask the backend first",
    promises: ["C29", "C31"],
    rule: "#reads({\n    call: {\n      namespace: { remote },\n      isForced,\n      isAfter,\n    },\n  }: Flight): boolean {\n    return remote",
    broken:
      "#reads({ isBackground, call: { namespace: { remote }, isForced, isAfter } }: Flight): boolean {\n    return !isBackground && remote",
  },
  {
    name: "freshness: an answer within a back-off is told as if a load ran",
    promises: ["C24", "C33"],
    rule: 'isBackedOff ? "error" : "revalidating") : hit(held',
    broken: '"revalidating") : hit(held',
  },
  {
    name: "freshness: a stale answer from the backend waits for the refresh",
    promises: ["C22", "C28"],
    rule: "if (!flight.isBackground) this.#goBehind(flight, best!, now);",
    broken: 'flight.reason = "stale";',
  },
  {
    name: "freshness: each stale answer begins a refresh",
    promises: ["C22"],
    rule: 'verdict !== "fresh" && joined === undefined &&',
    broken: 'verdict !== "fresh" &&',
  },
  {
    name: "storing: a loader in the background is not given the stale value",
    promises: ["C17"],
    rule: "stale: this.#waiters.fallbackOf(flight),",
    broken: "stale: flight.isBackground ? undefined : this.#waiters.fallbackOf(flight),",
  },
  {
    name: "errors: no back-off after a failed load",
    promises: ["C16", "C24"],
    rule: "if (this.#waiters.fallbackOf(flight) !== undefined)\n      this.#backOff",
    broken: "if (false) this.#backOff",
  },
  {
    name: "errors: the back-off counts from the call",
    promises: ["C24"],
    rule: "this.#context.clock.now() + flight.call.policy.errorBackoffMs",
    broken: "flight.call.startedAt + flight.call.policy.errorBackoffMs",
  },
  {
    name: "errors: whoever asks during a back-off prolongs it",
    promises: ["C16", "C24"],
    rule: "const until = this.#backoffs.get(at);",
    broken:
      "const before = this.#backoffs.get(at);\n    if (before !== undefined && now < before) this.#backoffs.set(at, now + 10_000);\n    const until = this.#backoffs.get(at);",
  },
  {
    name: "errors: a back-off outlives a success",
    promises: ["C24"],
    rule: "this.#backoffs.delete(flight.key.local);",
    broken: "",
  },
  {
    name: "errors: a back-off outlives a write",
    promises: ["C16", "C24"],
    rule: "if (this.#backoffs.size !== 0) this.#backoffs.delete(at);",
    broken: "",
  },
  {
    name: "errors: a failed load removes what was there",
    promises: ["C5"],
    rule: "this.#waiters.failAll(flight, error);",
    broken: "this.#waiters.failAll(flight, error);\n    this.#context.local?.tier.delete(flight.key.local);",
  },
  {
    name: "limits: softTimeout does not begin for a stale value that the backend has",
    promises: ["C35"],
    rule: "for (const waiter of flight.waiters) this.#waiters.limitWait(flight, waiter);",
    broken: "",
  },
  {
    name: "limits: maxLoads is ignored",
    promises: ["C38", "C42"],
    rule: "if (isCounted && !loads.tryTake()",
    broken: "if (false && !loads.tryTake()",
  },
  {
    name: "limits: maxBackgroundLoads is ignored",
    promises: ["C38"],
    rule: "if (isBehind && !backgroundLoads.tryTake())",
    broken: "if (isBehind && !backgroundLoads.tryTake() && false)",
  },
  {
    name: "limits: each item of a batch takes a slot",
    promises: ["C115"],
    rule: "flight.call.batch === undefined && !isLoading",
    broken: "!isLoading",
  },
  {
    name: "limits: waitUntil is called when the work is done",
    promises: ["C44"],
    rule: "if (isBackground) waitUntil?.(flight.whenSettled());",
    broken: "if (isBackground) void flight.whenSettled().then(() => waitUntil?.(flight.whenSettled()));",
  },
  {
    name: "limits: waitUntil is called outside of the caller's context",
    promises: ["C44"],
    rule: "if (isBackground) waitUntil?.(flight.whenSettled());",
    broken:
      'if (isBackground) ((globalThis as { outside?: (run: () => void) => void }).outside ??= process.getBuiltinModule("node:async_hooks").AsyncLocalStorage.snapshot())(() => waitUntil?.(flight.whenSettled()));',
  },
  {
    name: "limits: a background failure is nobody's, and unhandled",
    promises: ["C40"],
    rule: "this.#waiters.failAll(flight, error);",
    broken: "this.#waiters.failAll(flight, error);\n    if (flight.isBackground) void Promise.reject(error);",
  },
  {
    name: "backend: each step of a flight has the whole budget",
    promises: ["C43", "C92"],
    rule: "flight.backendLeftMs = namespace.remote!.deadlineMs - (now - flight.readAt);",
    broken: "",
  },
  {
    name: "backend: a flight goes on asking after the first failure",
    promises: ["C43", "C92"],
    rule: "flight.isAway = true;\n    if (flight.isOver) return;",
    broken: "if (flight.isOver) return;",
  },
  {
    name: "backend: a failed read fails the call",
    promises: ["C92"],
    rule: "if (copy === undefined) return void this.#load(flight);",
    broken: "if (copy === undefined) return void this.#waiters.abort(flight, new Error());",
  },
  {
    name: "recovery: getOrSet finds what waits to be invalidated by a tag that it does not name",
    promises: ["C93", "C94"],
    rule: "newer(isCovered ? undefined : entry, flight.fallback)",
    broken: "newer(entry, flight.fallback)",
  },
  {
    name: "leases: a load that fails keeps its lease",
    promises: ["C52", "C56"],
    rule: "flight.lease?.release();\n        if (isCounted)",
    broken: "if (isCounted)",
  },
  {
    name: "leases: what happened since one was asked for wakes nobody",
    promises: ["C52"],
    rule: "if (!flight.isWoken) {",
    broken: "{",
  },
  {
    name: "leases: a waiter looks again when the lease ends, and not before",
    promises: ["C57", "C105"],
    rule: "Math.min(heldForMs, POLL_MS, leftMs)",
    broken: "Math.min(heldForMs, leftMs)",
  },
  {
    name: "leases: waiting has no end",
    promises: ["C57"],
    rule: "if (clock.now() - flight.waitsSince >= loadTimeoutMs)",
    broken: "if (false)",
  },
  {
    name: "leases: a waiter takes the place of a load",
    promises: ["C57"],
    rule: 'if (acquired.kind === "held" || acquired.kind === "entry") elsewhere = acquired;',
    broken:
      'if (acquired.kind === "held") await this.#waitForOthers(flight, acquired.heldForMs);\n        else if (acquired.kind === "entry") elsewhere = acquired;',
  },
  {
    name: "leases: a refresh behind an answer waits for one",
    promises: ["C58"],
    rule: "flight.isBackground && flight.waiters.length === 0) this.#waiters.end(flight);\n    else if",
    broken: "false) this.#waiters.end(flight);\n    else if",
  },
  {
    name: "leases: a refresh behind an answer leaves those who joined it",
    promises: ["C58"],
    rule: "flight.isBackground && flight.waiters.length === 0) this.#waiters.end(flight);\n    else if",
    broken: "isBehind) this.#waiters.end(flight);\n    else if",
  },
  {
    name: "leases: what was removed during the wait stands in for a failure",
    promises: ["C26"],
    rule: "flight.fallback = this.#waiters.fallbackOf(flight);\n    flight.restart",
    broken: "flight.restart",
  },
  {
    name: "trust: what cannot be confirmed is of no use while the backend is away",
    promises: ["C92"],
    rule: "if (copy === undefined) return void this.#load(flight);",
    broken: "return void this.#load(flight);",
  },
  {
    name: "tokens: copies answer",
    promises: ["C81"],
    rule: "const isOwn = call.isForced || call.isAfter;",
    broken: "const isOwn = call.isForced;",
  },
  {
    name: "tokens: a replica answers",
    promises: ["C81"],
    rule: " && !(isAfter && remote.leases !== undefined);",
    broken: ";",
  },
  {
    name: "tokens: a replica answers after a wait",
    promises: ["C81"],
    rule: "return this.#reads(flight) ? remote!.read(flight, flight.backendLeftMs) : undefined;",
    broken: "return remote!.read(flight, flight.backendLeftMs);",
  },
  {
    name: "tokens: a copy stands in for the backend",
    promises: ["C81"],
    rule: "flight.call.isAfter ? undefined : local?.unconfirmed(flight.key.local, clock.now());",
    broken: "local?.unconfirmed(flight.key.local, clock.now());",
  },
  {
    name: "events: a hit counts twice",
    promises: ["C119"],
    rule: "local!.meter.hits += 1;\n    meter.hits += 1;",
    broken: "local!.meter.hits += 1;\n    meter.hits += 2;",
  },
];
