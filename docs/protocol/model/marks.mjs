// Marks of a tag or a key that have an end: stale from now on, and gone at an instant. Two versions, and an entry with
// a life. A key needs no entry of the end: what was marked has another version, so its own life is cut.
//
//   node marks.mjs            all rules
//   node marks.mjs sticky v   without one rule: the shortest way to a wrong answer
import { check } from "./mc.mjs";

export const RULES = [
  "sign", // a soft version of a mark with an end says so: without the entry of the end nothing is served
  "sticky", // so do later soft ones
  "listed", // only entries under a soft version that the entry of the end lists are served
  "earliest", // it ends with the earliest of its ends
  "margin", // what is left of an earlier end is less by as long as a mark may take
  "pins", // a mark lists the version that it has read from the issuer
  "hard", // an invalidation hides what is listed
  "marked", // of a key: only an entry that is marked gets the end
  "compared", // and only if it is still the one that was read
  "moved", // what is left of its own end is less by as long as a mark may take
  "confirmed", // one that did not get it, and is not known to be newer, is removed
];

const copy = (s) => structuredClone(s);

/** One tag, one key, calls of two processes that may overlap. Ends come in any order: the earliest is the first. */
function marks(cfg, R) {
  const init = () => ({ h: 0, s: 0, sign: 0, n: 1, e: null, x: null, t: 0, O: [], done: [], B: { ...cfg.B } });
  const next = (s) => {
    const out = [];
    const go = (label, fn) => {
      const t = copy(s);
      fn(t);
      t.t++;
      out.push([label, t]);
    };
    const begin = (k, more) => (t) => {
      t.B[k]--;
      t.O.push({ k, at: t.t, st: 0, ...more });
    };
    if (s.B.mark > 0) go("mark", begin("mark", { id: s.n }));
    if (s.B.soft > 0) go("mark without an end", begin("soft"));
    if (s.B.inv > 0) go("invalidate", begin("inv"));
    if (s.B.store > 0) go("a load pins", begin("store", { h: s.h, s: s.s }));
    if (s.B.read > 0 && s.x !== null) go("read", begin("read", { x: s.x, h: s.h, s: s.s, sign: s.sign }));
    if (s.B.evict > 0 && s.e !== null)
      go("the entry of the end is lost", (t) => {
        t.B.evict--;
        t.e = null;
      });
    // The end of a mark comes: what it has written, or shares, ends with it.
    for (const d of s.done)
      if (d.k === "mark" && d.endedAt === undefined)
        go(`end of mark ${d.id}`, (t) => {
          t.done.find(({ id }) => id === d.id).endedAt = t.t;
          if (t.e !== null && (R.earliest ? t.e.of.includes(d.id) : t.e.of.at(-1) === d.id)) t.e = null;
        });
    const renew = (t, hard, isEnding) => {
      const v = t.n++;
      if (hard) t.h = v;
      t.s = v;
      t.sign = Number(isEnding || (!hard && R.sticky && t.sign));
    };
    s.O.forEach((o, i) => {
      const end = (t) => {
        t.done.push({ ...t.O[i], ackAt: t.t });
        t.O.splice(i, 1);
      };
      const step = (label, fn) => go(`${o.k} ${label}`, (t) => fn(t, t.O[i]));
      if (o.k === "inv")
        step("renews", (t) => {
          renew(t, R.hard, 0);
          end(t);
        });
      else if (o.k === "soft")
        step("renews", (t) => {
          renew(t, false, 0);
          end(t);
        });
      else if (o.k === "store")
        step("stores", (t, own) => {
          t.x = { at: own.at, h: own.h, s: own.s };
          t.O.splice(i, 1);
        });
      else if (o.k === "mark" && o.st === 0)
        step("pins", (t, own) => Object.assign(own, { st: 1, id: t.n++, soft: R.pins ? t.s : 0 }));
      else if (o.k === "mark" && o.st === 1)
        step("reads the end", (t, own) => Object.assign(own, { st: 2, e: t.e && { ...t.e } }));
      else if (o.k === "mark" && o.st === 2)
        step("writes the end", (t, own) => {
          const isOver = own.e?.of.some((id) => t.done.some((d) => d.id === id && d.endedAt !== undefined));
          const e = R.margin && isOver ? undefined : own.e;
          t.e = { softs: [own.soft, ...(e?.softs ?? [])], of: [...(e?.of ?? []), own.id] };
          own.st = 3;
        });
      else if (o.k === "mark")
        step("renews", (t) => {
          renew(t, false, R.sign);
          end(t);
        });
      else
        step("answers", (t) => {
          const v = o.x;
          const isStale = v.s !== o.s;
          const isGone = v.h !== o.h || (isStale && o.sign && !(t.e && (!R.listed || t.e.softs.includes(v.s))));
          t.O.splice(i, 1);
          if (isGone) return;
          for (const d of t.done) {
            if (d.at < v.at || d.ackAt > o.at) continue;
            if (d.k === "inv") t.viol = "what was invalidated is served";
            const isAlone = !overlaps(d, [...t.done, ...t.O]);
            if (d.k === "mark" && d.endedAt < o.at && isAlone) t.viol = "what was marked is served after its end";
            if ((d.k === "mark" || d.k === "soft") && !isStale) t.viol = "what was marked is served as fresh";
          }
        });
    });
    return out;
  };
  return { init, next, bad: () => undefined, key: keyOf };
}

/** Marks that were made at the same time have no order: either end counts. */
const overlaps = (d, calls) =>
  calls.some((e) => e.k === "mark" && e.at !== d.at && e.at < d.ackAt && (e.ackAt ?? Infinity) > d.at);

/** One key, calls of two processes that may overlap. A replica without the last step may answer the read of one. */
function keyMarks(cfg, R) {
  const init = () => ({ n: 1, x: null, old: null, t: 0, O: [], done: [], B: { ...cfg.B } });
  const next = (s) => {
    const out = [];
    const go = (label, fn) => {
      const t = copy(s);
      fn(t);
      t.t++;
      out.push([label, t]);
    };
    const put = (t, x) => Object.assign(t, { old: t.x, x });
    if (s.B.mark > 0)
      go("mark", (t) => {
        t.B.mark--;
        t.O.push({ k: "mark", at: t.t, st: 0, id: t.n++ });
      });
    if (s.B.soft > 0 && s.x !== null)
      go("mark without an end", (t) => {
        t.B.soft--;
        put(t, { ...t.x, v: t.n++, isStale: 1 });
      });
    if (s.B.store > 0)
      go("set", (t) => {
        t.B.store--;
        put(t, { v: t.n++, at: t.t, isStale: 0, of: [] });
      });
    for (const d of s.done)
      if (d.endedAt === undefined)
        go(`end of mark ${d.id}`, (t) => {
          t.done.find(({ id }) => id === d.id).endedAt = t.t;
          if (t.x?.of.includes(d.id)) t.x = null;
          if (t.old?.of.includes(d.id)) t.old = null;
        });
    s.O.forEach((o, i) => {
      const step = (label, fn) => go(`mark ${o.id} ${label}`, (t) => fn(t, t.O[i]));
      const end = (t) => {
        t.done.push({ ...t.O[i], ackAt: t.t });
        t.O.splice(i, 1);
      };
      if (o.st === 0)
        step("marks", (t, own) => {
          own.st = 1;
          if (t.x !== null) put(t, { ...t.x, v: t.n++, isStale: 1 });
        });
      else if (o.st === 1)
        for (const from of ["x", "old"])
          step(`reads ${from}`, (t, own) => Object.assign(own, { st: 2, x: t[from] && { ...t[from] } }));
      else if (o.st === 2)
        step("touches", (t, own) => {
          const isSame = t.x !== null && own.x !== null && (!R.compared || t.x.v === own.x.v);
          own.st = 3;
          if (!isSame || (R.marked && !own.x.isStale)) return;
          put(t, { ...t.x, of: [...(R.moved ? own.x.of : []), own.id] });
          if (!t.x.isStale) t.viol = "what is not marked has its end";
          end(t);
        });
      else if (o.st === 3)
        step("confirms", (t, own) => {
          const isNewer = t.x === null || (t.x.v === own.x?.v ? !own.x.isStale : own.x?.isStale && !t.x.isStale);
          if (isNewer || !R.confirmed) end(t);
          else own.st = 4;
        });
      else
        step("removes", (t) => {
          put(t, null);
          end(t);
        });
    });
    return out;
  };
  const bad = ({ x, O, done }) => {
    if (x === null) return undefined;
    for (const d of done) {
      if (x.at >= d.at) continue;
      if (!x.isStale) return "what was marked is served as fresh";
      if (d.endedAt !== undefined && !overlaps(d, [...O, ...done])) return "what was marked is served after its end";
    }
    return undefined;
  };
  return { init, next, bad, key: keyOf };
}

/** Instants by their order alone. */
function keyOf({ t: _, ...s }) {
  const calls = [...s.O, ...s.done];
  const times = calls.flatMap(({ at, ackAt, endedAt, x }) => [at, ackAt, endedAt, x?.at]);
  const order = [...new Set([...times, s.x?.at, s.old?.at])].filter((each) => each !== undefined).sort((a, b) => a - b);
  return JSON.stringify(s, (name, value) => (/^(at|ackAt|endedAt)$/.test(name) ? order.indexOf(value) : value));
}

const KEYS = {
  "key, two": { B: { mark: 2, soft: 0, store: 2 } },
  "key, mixed": { B: { mark: 2, soft: 1, store: 2 } },
};
const CONFIGS = {
  two: { B: { mark: 2, soft: 0, inv: 0, store: 2, read: 1, evict: 1 } },
  mixed: { B: { mark: 1, soft: 1, inv: 0, store: 2, read: 1, evict: 1 } },
  invalidated: { B: { mark: 2, soft: 0, inv: 1, store: 1, read: 1, evict: 0 } },
  all: { B: { mark: 1, soft: 1, inv: 1, store: 1, read: 1, evict: 1 } },
};

const [without, verbose] = process.argv.slice(2);
const R = Object.fromEntries(RULES.map((rule) => [rule, rule !== without]));
for (const [name, cfg] of Object.entries({ ...CONFIGS, ...KEYS })) {
  const result = check({ ...(name in KEYS ? keyMarks : marks)(cfg, R), maxMs: 60_000 });
  const { states, depth, violation, trace, ok } = result;
  console.log(name, violation ?? (ok ? "exhaustive" : "incomplete"), `${states} states, depth ${depth}`);
  if (violation !== undefined && verbose) console.log(trace.map((each) => `  ${each}`).join("\n"));
}
