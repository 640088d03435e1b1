import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "promotion: getOrSet promotes what was read before a fence",
    promises: ["C62"],
    rule: "promote(this.#context, flight, entry, policy.localTtlMs, now);",
    broken:
      "if (now < entry.staleAt)\n        this.#context.local?.put(key.local, entry, policy.localTtlMs ?? Infinity, this.#context.flights.copyEpoch(flight));",
  },
  {
    name: "promotion: the result of an abandoned read is kept, though no fence reaches it",
    promises: ["C62"],
    rule: "if (flight.isOver) return;\n    this.#fallBackOn(",
    broken: "this.#fallBackOn(",
  },
  {
    name: "promotion: a copy passes by the tag calls made while it was read",
    promises: ["C62"],
    rule: "const read = found && tags.applyTo(found, now);",
    broken: "const read = found && { ...found, tagSequence: tags.sequence };",
  },
  {
    name: "joining: a forced call joins an older load",
    promises: ["C11", "C49"],
    rule: "const isOwn = call.isForced || call.isAfter;",
    broken: "const isOwn = call.isAfter;",
  },
  {
    name: "joining: a caller with a token joins an older load",
    promises: ["C49"],
    rule: "const isOwn = call.isForced || call.isAfter;",
    broken: "const isOwn = call.isForced;",
  },
  {
    name: "joining: a failed flight ends one turn too late, so late callers join it",
    promises: ["C47"],
    rule: "this.#waiters.end(flight);\n    this.#waiters.failAll",
    broken: "setImmediate(() => this.#waiters.end(flight));\n    this.#waiters.failAll",
  },
  {
    name: "joining: a failed load rejects its first caller only, and the next one loads",
    promises: ["C46"],
    rule: "this.#waiters.failAll(flight, failure);",
    broken:
      "const [first, ...others] = flight.takeAll();\n    first?.reject(failure.error);\n    for (const { call, resolve } of others) resolve(this.fetch(call, undefined));",
  },
  {
    name: "joining: concurrent callers load separately",
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
    rule: "if (isLoading(this.#context, key.local)) {",
    broken: "if (false) {",
  },
  {
    name: "freshness: failures move the end of staleIfError",
    promises: ["C23"],
    rule: "this.#waiters.end(flight);\n    this.#waiters.failAll",
    broken:
      "const { fallback } = flight;\n    const now = this.#context.clock.now();\n" +
      "    if (fallback !== undefined) this.#context.local?.put(flight.key.local, { ...fallback, staleAt: now, expiresAt: now + fallback.terms.staleIfErrorMs, deadAt: now + fallback.terms.staleIfErrorMs }, Infinity);\n" +
      "    this.#waiters.end(flight);\n    this.#waiters.failAll",
  },
  {
    name: "freshness: a refresh does not ask the backend first",
    promises: ["C29", "C31"],
    rule: "#reads({ call }: Flight): boolean {\n    const { remote } = call.namespace;\n    if (remote",
    broken:
      "#reads({ call, isAwaited }: Flight): boolean {\n    const { remote } = call.namespace;\n    if (!isAwaited || remote",
  },
  {
    name: "freshness: a stale answer from the backend waits for the refresh",
    promises: ["C22", "C28"],
    rule: "this.#waiters.answerEach(flight, (call) =>",
    broken: "if (false) this.#waiters.answerEach(flight, (call) =>",
  },
  {
    name: "freshness: each stale answer begins a refresh",
    promises: ["C22"],
    rule: "joined === undefined && this.#refreshes",
    broken: "this.#refreshes",
  },
  {
    name: "freshness: the refresh behind an answer begins after its listener ran",
    promises: ["C22"],
    rule: "const refreshes = joined === undefined && this.#refreshes(call, held);",
    broken:
      'const refreshes = joined === undefined && this.#refreshes(call, held);\n      call.onServed?.({ status: "stale", ageMs: 0, freshForMs: 0, coalesced: false });',
  },
  {
    name: "joining: a caller that joins while listeners run is not waited for",
    promises: ["C42"],
    rule: "    const known = this.#known(flight, call, clock.now());",
    broken:
      "    if (events.coalesced.isObserved) events.coalesced.emit(this.#answers.keyEvent(call.key));\n    const known = this.#known(flight, call, clock.now());",
  },
  {
    name: "joining: the answer that a flight has is not given to late callers",
    promises: ["C22", "C37"],
    rule: 'if (flight.phase === "reading") return undefined;',
    broken: "if (true) return undefined;",
  },
  {
    name: "limits: a queued load goes on waiting although a running load waits for it",
    promises: ["C50"],
    rule: "if (answer === undefined && isLoading(this.#context)) flight.skipQueue();",
    broken: "",
  },
  {
    name: "recovery: a load that waited for a replay is fenced by its acknowledgement",
    promises: ["C93"],
    rule: "if (!writes.has(flight.key.local)) this.#restart(flight);",
    broken: "",
  },
  {
    name: "leases: each hit of a key that another process loads asks for the lease",
    promises: ["C58"],
    rule: "this.#pauses.begin(flight.key.local, now + Math.min(heldForMs, POLL_MS), undefined);",
    broken: "",
  },
  {
    name: "errors: a load that gives nothing behind a stale answer is tried with each hit",
    promises: ["C24"],
    rule: "if (isWithheld && flight.fallback !== undefined)",
    broken: "if (false)",
  },
  {
    name: "errors: a back-off outlives a success",
    promises: ["C24"],
    rule: "this.#failures.end(flight.key.local);",
    broken: "",
  },
  {
    name: "errors: a back-off outlives a write",
    promises: ["C16", "C24"],
    rule: "this.#failures.end(localKey);",
    broken: "",
  },
  {
    name: "errors: a failed load removes what was there",
    promises: ["C5"],
    rule: "this.#waiters.failAll(flight, failure);",
    broken: "this.#waiters.failAll(flight, failure);\n    this.#context.local?.tier.delete(flight.key.local);",
  },
  {
    name: "limits: softTimeout does not begin for a stale value that the backend has",
    promises: ["C35"],
    rule: "for (const waiter of flight.waiters) this.#waiters.startSoftTimeout(flight, waiter);\n    this.#load(",
    broken: "this.#load(",
  },
  {
    name: "limits: a background failure is an unhandled rejection",
    promises: ["C40"],
    rule: "this.#waiters.failAll(flight, failure);",
    broken: "this.#waiters.failAll(flight, failure);\n    if (!flight.isAwaited) void Promise.reject(failure.error);",
  },
  {
    name: "backend: a flight goes on asking after the first failure",
    promises: ["C43", "C92"],
    rule: "flight.becomeUnreachable();\n    if (flight.isOver) return;",
    broken: "if (flight.isOver) return;",
  },
  {
    name: "backend: a failed read fails the call",
    promises: ["C92"],
    rule: "if (copy === undefined) return this.#load(flight);",
    broken: "if (copy === undefined) return void this.#waiters.abort(flight, new Error());",
  },
  {
    name: "recovery: getOrSet finds what waits to be invalidated by a tag that it does not name",
    promises: ["C93", "C94"],
    rule: "newerThanRead(isHidden ? undefined : entry, flight.fallback)",
    broken: "newerThanRead(entry, flight.fallback)",
  },
  {
    name: "leases: a load that fails keeps its lease",
    promises: ["C52", "C56"],
    rule: "flight.lease?.release();\n      release();",
    broken: "release();",
  },
  {
    name: "leases: a change since the request for the lease does not end the wait",
    promises: ["C52"],
    rule: "if (!flight.isWoken) await",
    broken: "await",
  },
  {
    name: "leases: a waiter looks again when the lease ends, and not before",
    promises: ["C57", "C105"],
    rule: "Math.min(heldForMs, pollMs, leftMs)",
    broken: "Math.min(heldForMs, leftMs)",
  },
  {
    name: "leases: a waiter that nothing wakes looks once a second",
    promises: ["C465"],
    rule: "pollAfter(now - waitsSince)",
    broken: "POLL_MS",
  },
  {
    name: "leases: a waiter looks again soon, although changes are reported",
    promises: ["C465"],
    rule: "trust.isReported(flight.key.local, now) ? POLL_MS : pollAfter",
    broken: "pollAfter",
  },
  {
    name: "leases: waiting has no end",
    promises: ["C57"],
    rule: "if (clock.now() - waitsSince >= loadTimeoutMs)",
    broken: "if (false)",
  },
  {
    name: "leases: a waiter takes the place of a load",
    promises: ["C57"],
    rule: 'if (acquired.kind === "leased" ||',
    broken:
      'if (acquired.kind === "held") await this.#heldElsewhere(flight, acquired.heldForMs);\n      else if (acquired.kind === "leased" ||',
  },
  {
    name: "leases: a refresh behind an answer waits for one",
    promises: ["C58"],
    rule: "if (!flight.isAwaited) {\n      this.#pauses.begin",
    broken: "if (false) {\n      this.#pauses.begin",
  },
  {
    name: "leases: a refresh behind an answer leaves those who joined it",
    promises: ["C58"],
    rule: "if (!flight.isAwaited) {\n      this.#pauses.begin",
    broken: 'if (!flight.isAwaited || flight.reason === "stale") {\n      this.#pauses.begin',
  },
  {
    name: "leases: an entry removed during the wait is served as fallback",
    promises: ["C26"],
    rule: "if (this.#waiters.fallbackOf(flight).entry === undefined) flight.dropFallback();\n    flight.restart",
    broken: "flight.restart",
  },
  {
    name: "trust: an unconfirmed copy is not served while the backend is unreachable",
    promises: ["C92"],
    rule: "if (copy === undefined) return this.#load(flight);",
    broken: "return this.#load(flight);",
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
    rule: " && !(call.isAfter && remote.leases !== undefined);",
    broken: ";",
  },
  {
    name: "tokens: a replica answers after a wait",
    promises: ["C81"],
    rule: "() => (this.#reads(flight) ? remote!.read(flight, flight.backendLeftMs) : undefined),",
    broken: "() => remote!.read(flight, flight.backendLeftMs),",
  },
  {
    name: "tokens: a copy is served as fallback of the backend",
    promises: ["C81"],
    rule: "flight.call.isAfter ? undefined : local?.unconfirmed(flight.key.local, clock.now());",
    broken: "local?.unconfirmed(flight.key.local, clock.now());",
  },
  {
    name: "events: a hit counts twice",
    promises: ["C119"],
    rule: "local!.meter.hits += 1;\n    namespace.meter.hits += 1;",
    broken: "local!.meter.hits += 1;\n    namespace.meter.hits += 2;",
  },
  {
    name: "outage: a copy served while the backend is away names no tier",
    promises: ["C33"],
    rule: 'flight.fallBackOn(newer(copy, flight.fallback), local!.label, "copy");',
    broken: 'flight.fallBackOn(newer(copy, flight.fallback), "", "copy");',
  },
  {
    name: "settling: an exception after a read leaves the flight and its callers",
    promises: ["C348"],
    rule: "    } catch (error) {\n      this.#broken(flight, error);\n    }",
    broken: "    } catch (error) {\n      throw error;\n    }",
  },
  {
    name: "broken tiers: an exception after a read in the background is lost in silence",
    promises: ["C353"],
    rule: "    this.#loadedStore.reportBroken(flight, error);\n    if (!flight.isOver)",
    broken: "    if (!flight.isOver)",
  },
  {
    name: "storing: a tier that breaks its contract costs the callers their value",
    promises: ["C348"],
    rule: "result = this.#loadedStore.reportBroken(flight, error);",
    broken: "throw error;",
  },
  {
    name: "not shared: the next callers join a load again at once",
    promises: ["C452"],
    rule: "flight.loadAlone();\n      flight.supersede();",
    broken: "flight.loadAlone();",
  },
  {
    name: "not shared: callers that joined before a marker was found share its load",
    promises: ["C453"],
    rule: "flight.supersede();\n    this.#waiters.startAnew(flight);",
    broken: "",
  },
  {
    name: "not shared: a value that was loaded under a marker is stored for this process alone",
    promises: ["C453"],
    rule: "if (flight.isAlone && isForAll) await this.#leases.acquireLate(flight, pinned);",
    broken: "",
  },
  {
    name: "errors: a forced load falls back on the local copy alone",
    promises: ["C446"],
    rule: "if (flight.call.isForced) await this.#readReplaced(flight);",
    broken: "",
  },
  {
    name: "errors: no error is remembered",
    promises: ["C447"],
    rule: "if (failure !== undefined) return this.#reject(flight, failure);",
    broken: "",
  },
  {
    name: "inherit: a copy that is served without a call of the ladder counts for no load",
    promises: ["C454"],
    rule: "usedByCaller()?.add(this.#context, namespace.remote, held);",
    broken: "",
  },
  {
    name: "inherit: a page of stale values waits for the whole back-off",
    promises: ["C454"],
    rule: "isForAll ? POLL_MS : flight.call.policy.errorBackoffMs",
    broken: "flight.call.policy.errorBackoffMs",
  },
];
