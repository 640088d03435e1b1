// The steps of a lease and of tag versions over a store that has one atomic step: compare one record, and set it.
//
//   node swap.mjs                all scenarios
//   node swap.mjs overRecord v   without one rule: the shortest way to a wrong answer
import { check } from "./mc.mjs";

export const RULES = [
  "compares", // a swap is executed only over the record that was read
  "again", // a swap that was refused is decided again
  "unique", // no two records are equal, so a record that was replaced never comes back
  "overRecord", // a value replaces a record: where there is none, an empty one is made first
  "removesEmpty", // a removal removes an empty record
  "ends", // a step that its caller has given up begins no other swap
  "holds", // a lease that is held is not granted
  "byToken", // only its holder stores
  "dropsLease", // a write and a removal end the lease
  "comparesTags", // a renewal of one half keeps what another process has made of the other one
  "issuerFirst", // a renewal changes the issuer before the tag
  "tagFirst", // a late tag is read before the issuer
  "random", // a version that was lost is not issued again
];

const copy = (s) => structuredClone(s);

/** Entries: calls `set`, `del` and `load` of two processes, over one record. */
function entries(cfg, R) {
  const init = () => ({ db: 1, inv: 0, n: 1, r: null, O: [], Z: [], loads: 0, B: { ...cfg.B } });
  const put = (t, next) => {
    if (next === null) t.r = null;
    else t.r = { cas: R.unique ? t.n++ : `${next}`, v: next[0], l: next[1], x: 0 };
  };
  const isThere = (t, cas) => !R.compares || (t.r === null ? null : t.r.cas) === cas;
  /** The record that a step makes of `r`: `undefined` for no change, `null` to remove it, else its value and lease. */
  const decide = (o, r) => {
    const lease = R.dropsLease ? 0 : (r?.l ?? 0);
    if (o.k === "set") return r === null && R.overRecord ? [0, 0] : [o.w, lease];
    if (o.k === "del")
      return r === null || (!r.v && !r.l && !R.removesEmpty) ? undefined : lease === 0 ? null : [0, lease];
    if (o.k === "acquire") return (r?.l && !r.x && R.holds) || r?.v ? undefined : [0, o.tok];
    if (o.k === "release") return r?.l !== o.tok ? undefined : r.v ? [r.v, 0] : null;
    return R.byToken && (r?.l !== o.tok || r.x) ? undefined : [o.v, 0];
  };
  /** A step has ended: with a swap that was executed, or without one. */
  const done = (t, i, isChanged) => {
    const o = t.O[i];
    if (o.k === "set" && o.next[0] === 0) {
      Object.assign(o, { r: t.r && { ...t.r }, next: decide(o, t.r) });
      return;
    }
    if (o.k === "acquire" && isChanged) {
      t.loads++;
      Object.assign(o, { k: "load", st: 0 });
      return;
    }
    if (o.k === "acquire" && o.r?.v && o.r.v < o.floor) t.viol = `I1: a load was answered with v${o.r.v} < ${o.floor}`;
    if (o.k === "set" || o.k === "del") {
      t.inv = Math.max(t.inv, o.w);
      t.loads = 0;
    }
    if (o.k === "release") t.loads = 0;
    t.O.splice(i, 1);
  };
  const next = (s) => {
    const out = [];
    const go = (label, fn) => {
      const t = copy(s);
      fn(t);
      out.push([label, t]);
    };
    const isChanging = s.O.some(({ k }) => k === "set" || k === "del");
    for (const k of cfg.ops)
      if (s.B.ops > 0 && !(k === "set" ? isChanging : s.O.some((o) => o.k === "set")))
        go(`v${s.db + 1} in the database, call ${k}`, (t) => {
          t.B.ops--;
          t.O.push({ k, w: ++t.db, st: 0 });
        });
    if (s.B.loads > 0)
      go("a load begins", (t) => {
        t.B.loads--;
        t.O.push({ k: "acquire", tok: t.n++, st: 0, floor: t.inv });
      });
    s.O.forEach((o, i) => {
      const name = `${o.k} ${o.w ?? o.tok}`;
      if (o.k === "load") {
        if (o.st === 0) go(`${name}: the loader reads v${s.db}`, (t) => Object.assign(t.O[i], { v: t.db, st: 1 }));
        else for (const k of ["store", "release"]) go(`${name}: ${k}`, (t) => Object.assign(t.O[i], { k, st: 0 }));
        return;
      }
      if (o.st === 0)
        go(`${name}: get`, (t) => {
          const step = t.O[i];
          step.r = t.r && { ...t.r };
          step.next = decide(step, t.r);
          if (step.next === undefined) done(t, i, false);
          else step.st = 1;
        });
      else {
        const cas = o.r === null ? null : o.r.cas;
        go(`${name}: swap${isThere(s, cas) ? "" : ", refused"}`, (t) => {
          if (isThere(t, cas)) {
            put(t, o.next);
            done(t, i, true);
          } else if (R.again) Object.assign(t.O[i], { st: 0, r: undefined, next: undefined });
          else done(t, i, true);
        });
        if (s.B.dup > 0 && isThere(s, cas))
          go(`${name}: swap, answered as refused`, (t) => {
            t.B.dup--;
            put(t, o.next);
            Object.assign(t.O[i], { st: 0, r: undefined, next: undefined });
            t.loads = 0;
          });
      }
      if (o.st === 1 && s.B.late > 0)
        go(`${name}: given up`, (t) => {
          t.B.late--;
          t.loads = 0;
          const cas = o.r === null ? null : o.r.cas;
          t.Z.push(R.ends ? { cas, next: o.next } : { ...o });
          // An outcome that is unknown is removed later.
          if (o.k === "set" || o.k === "del") t.O[i] = { k: "del", w: o.w, st: 0 };
          else t.O.splice(i, 1);
        });
    });
    s.Z.forEach((z, i) => {
      if (R.ends) {
        if (isThere(s, z.cas))
          go("a swap that was given up is executed", (t) => {
            t.Z.splice(i, 1);
            put(t, z.next);
            t.loads = 0;
          });
      } else
        go("a step that was given up begins again", (t) => {
          t.Z.splice(i, 1);
          const after = decide(z, t.r);
          if (after !== undefined) put(t, after);
          t.loads = 0;
        });
    });
    if (s.r?.l && !s.r.x && s.B.end > 0)
      go("the lease ends", (t) => {
        t.B.end--;
        t.r.x = 1;
        t.loads = 0;
      });
    if (s.r && (s.r.v || s.r.l) && s.B.evict > 0)
      go("the store evicts the record", (t) => {
        t.B.evict--;
        t.r = null;
        t.loads = 0;
      });
    return out;
  };
  const bad = (s) => {
    if (s.r?.v && s.r.v < s.inv) return `I3: the store holds v${s.r.v} < ${s.inv}, which was acknowledged`;
    if (s.loads > 1) return "I4: two loads";
    return null;
  };
  return { init, next, bad, key: JSON.stringify };
}

/** Tag versions: calls `hard` and `soft`, and loads that name the tag before (`early`) or after the loader. */
function tags(cfg, R) {
  // `e`: an entry, with its value and the versions under which it was stored
  const init = () => ({ db: 1, hard: 0, soft: 0, n: 1, G: 0, T: null, e: null, O: [], B: { ...cfg.B } });
  const fresh = (t, last) => (R.random ? t.n++ : last + 1);
  const issue = (t, o) => {
    const n = fresh(t, t.T?.s ?? 0);
    if (o.T === null) t.T = { h: n, s: n, c: t.n++ };
    else t.T = { h: o.k === "hard" ? n : o.T.h, s: n, c: t.n++ };
  };
  const steps = (k) => {
    if (k === "early") return ["pin", "read", "store"];
    if (k === "late") return R.tagFirst ? ["at", "read", "pin", "issuer"] : ["at", "read", "issuer", "pin"];
    return R.issuerFirst ? ["issue", "get", "swap"] : ["get", "swap", "issue"];
  };
  const act = {
    issue: (t) => void (t.G = fresh(t, t.G)),
    get: (t, o) => void (o.T = t.T && { ...t.T }),
    swap(t, o) {
      if (R.comparesTags && (t.T?.c ?? 0) !== (o.T?.c ?? 0)) return "get";
      issue(t, o);
    },
    pin(t, o) {
      if (t.T === null) issue(t, { T: null });
      o.T = { ...t.T };
    },
    at: (t, o) => void (o.at = t.G ||= fresh(t, 0)),
    read: (t, o) => void (o.v = t.db),
    issuer: (t, o) => void (o.isLate = t.G !== o.at),
    store: () => {},
  };
  const end = (t, o) => {
    if (o.k === "hard" || o.k === "soft") t[o.k] = Math.max(t[o.k], o.w);
    else if (!o.isLate) t.e = { v: o.v, h: o.T.h, s: o.T.s };
  };
  const next = (s) => {
    const out = [];
    const go = (label, fn) => {
      const t = copy(s);
      fn(t);
      out.push([label, t]);
    };
    for (const k of cfg.ops)
      if (s.B.ops > 0)
        go(`v${s.db + 1} in the database, call ${k}`, (t) => {
          t.B.ops--;
          t.O.push({ k, w: ++t.db, todo: steps(k) });
        });
    for (const k of cfg.loads)
      if (s.B.loads > 0)
        go(`a load begins, ${k}`, (t) => {
          t.B.loads--;
          t.O.push({ k, todo: steps(k) });
        });
    s.O.forEach((o, i) => {
      const [step] = o.todo;
      go(`${o.k}: ${step}`, (t) => {
        const p = t.O[i];
        const back = act[step](t, p);
        if (back === undefined) p.todo.shift();
        else p.todo.unshift(back);
        if (p.todo.length > 0) return;
        end(t, p);
        t.O.splice(i, 1);
      });
    });
    if (s.B.evict > 0) {
      if (s.T) go("the version is lost", (t) => void (t.B.evict--, (t.T = null)));
      if (s.G) go("the issuer is lost", (t) => void (t.B.evict--, (t.G = 0)));
    }
    return out;
  };
  const bad = (s) => {
    if (!s.e || !s.T || s.e.h !== s.T.h) return null;
    if (s.e.v < s.hard) return `I3: v${s.e.v} < ${s.hard} counts as valid`;
    if (s.e.s === s.T.s && s.e.v < s.soft) return `I3: v${s.e.v} < ${s.soft} counts as fresh`;
    return null;
  };
  return { init, next, bad, key: JSON.stringify };
}

const NONE = { ops: 0, loads: 0, late: 0, dup: 0, end: 0, evict: 0 };
const of = (make, ops, B, loads = []) => ({ make, ops, loads, B: { ...NONE, ...B } });
const SCENARIOS = {
  herd: of(entries, [], { loads: 4 }),
  removals: of(entries, ["del"], { ops: 2, loads: 2 }),
  writes: of(entries, ["set", "del"], { ops: 3, loads: 1 }),
  late: of(entries, ["set", "del"], { ops: 2, loads: 1, late: 1 }),
  later: of(entries, ["set", "del"], { ops: 3, late: 2 }),
  again: of(entries, ["set", "del"], { ops: 2, loads: 1, late: 1, dup: 1 }),
  ends: of(entries, ["del"], { ops: 1, loads: 3, end: 2 }),
  evicted: of(entries, ["set", "del"], { ops: 2, loads: 2, evict: 2 }),
  all: of(entries, ["set", "del"], { ops: 2, loads: 2, late: 1, dup: 1, end: 1, evict: 1 }),
  early: of(tags, ["hard", "soft"], { ops: 2, loads: 2 }, ["early"]),
  lateTag: of(tags, ["hard", "soft"], { ops: 2, loads: 2 }, ["late"]),
  lostTag: of(tags, ["hard", "soft"], { ops: 2, loads: 2, evict: 2 }, ["early", "late"]),
  lost: of(tags, ["hard", "soft"], { ops: 1, loads: 1, evict: 1 }, ["early", "late"]),
  halves: of(tags, ["hard", "soft"], { ops: 3, loads: 1 }, ["early"]),
};

const [without, verbose] = process.argv.slice(2);
if (without !== undefined && !RULES.includes(without)) throw new Error(`no rule ${without}`);
const rules = Object.fromEntries(RULES.map((rule) => [rule, rule !== without]));
let states = 0;
for (const [name, { make, ...cfg }] of Object.entries(SCENARIOS)) {
  const found = check({ ...make(cfg, rules), maxStates: 2e6, maxMs: Number(process.env.MS ?? 60_000) });
  states += found.states;
  if (found.violation) {
    console.log(`${without ?? "VIOLATION"}: ${name}, ${found.trace.length} steps: ${found.violation}`);
    if (verbose || without === undefined) console.log(found.trace.map((step, i) => `  ${i + 1}. ${step}`).join("\n"));
    process.exit(without === undefined ? 1 : 0);
  }
  if (without === undefined)
    console.log(`${name.padEnd(9)} ${found.ok ? "exhaustive" : "stopped"} ${found.states} states, ${found.ms} ms`);
}
console.log(without === undefined ? `no violation, ${states} states` : `${without}: NOT CAUGHT`);
process.exit(without === undefined ? 0 : 1);
