import { check } from "./mc.mjs";
const mx = (a, b) => (a > b ? a : b);
export const RULES = {
  // a miss that is expected begins with the lease: no read goes before it
  leaseFirst: 1,
  fenceBefore: 1,
  fenceAfter: 1,
  opsDropLease: 1,
  condStore: 1,
  refusedNotL1: 1,
  promoPush: 1,
  promoEpoch: 1,
  distrust: 1,
  trackFirst: 1,
  killOld: 1,
  unknownPending: 1,
  delSignals: 1,
  tagsAtGrant: 1,
  lateCheck: 1,
  lateMissing: 1,
  tagUnique: 1,
  missingTagMiss: 1,
  joinPush: 1,
  joinOwnTag: 1,
  joinTagPush: 1,
  setFillGuard: 1,
  expireDrops: 1,
  tagTabGuard: 1,
  tagPush: 1,
  replayDelete: 1,
  acqRecheck: 1,
  wakeSince: 1,
  releaseOnFail: 1,
  fencedNoStore: 1,
  unconfNotServed: 1,
  // a copy whose tag was reported as changed is not served in an outage either
  receivedHolds: 1,
  localLoadUntrusted: 1,
  joinEpoch: 1,
  fallbackPendingDrop: 1,
  ownTagDropsL1: 1,
  noSkipStoreFill: 1,
  pendReadWait: 1,
  setNoloop: 1,
  unjoinOwn: 1,
  lateSameScript: 0,
  alwaysSignal: 1,
  storeSeen: 1,
  fifoWrites: 1,
  wakeLocal: 1,
  leaseExclusive: 1,
  releaseByToken: 1,
  releaseSignals: 1,
  releaseTouch: 1,
  refusedSignals: 1,
  errSignals: 1,
  forceTakeover: 1,
  forceSeen: 1,
  forceFenceCall: 0,
  forceFenceAck: 1,
  forceNoEntry: 1,
  relOwn: 1,
  relPush: 1,
  relCompare: 1,
  relAgain: 1,
  relGranted: 1,
  bgNoWait: 1,
  seenFromGrant: 1,
  softNotFresh: 1,
  acqReads: 1,
  expireRenames: 1,
  storeEndsRead: 1,
  writeEndsRead: 1,
  pinReads: 1,
  confirmReads: 1,
  confirmCompares: 1,
  confirmOfCopy: 1,
  issuerPush: 1,
  atForgotten: 1,
  partForgets: 1,
  partEpochBack: 1,
  heldReadsLease: 1,
  ownIsOne: 1,
  ownNotTwo: 1,
  opsDropPlaceholder: 1,
  heldIsRead: 1,
  placeholderIsRead: 1,
  placeholderIsOwn: 1,
  joinAskingKey: 1,
  // of the string layout alone
  storeReadsBehind: 1,
  storeComparesBehind: 1,
  refreshSeesPlaceholder: 1,
  placeholderSeesRefresh: 1,
  backingOffReads: 1,
  backingOffAsksScript: 1,
  // of joining after tag events
  lateJoinOwn: 1,
  lateJoinForeign: 1,
  lateJoinKnown: 1,
  lateJoinFound: 1,
  lateJoinStoring: 1,
  lateJoinUnproven: 1,
  lateJoinKey: 1,
  lateJoinEpoch: 1,
  // of the log of renewals
  logged: 1,
  logGap: 1,
  logPresent: 1,
  // set and expire end the lease beside by a command of its own, before
  leaseFirst: 1,
  // set of a string is SET and, in another step, a read that compares the version
  setReadsBehind: 1,
  setComparesBehind: 1,
  // processes keep copies: 0 is a fleet without memory tiers, whose scripts do not end with a read
  copies: 1,
  // a removal is two plain commands, of which the first changes the key in any case
  plainDelete: 1,
  // the lease of an entry that is there is taken by plain commands: set, and in another step looked at with the entry
  plainLease: 1,
  looksReadLease: 1,
  looksReadEntry: 1,
  looksCompare: 1,
  looksGiveUp: 1,
  // of a set with a fence
  fenceMarks: 1,
  fenceCompares: 1,
  fenceTags: 1,
  fenceOwn: 1,
  keptVersion: 1,
  keptOwn: 1,
};
const cp = (o) => {
  // hand clone
  return {
    db: o.db,
    inv: [o.inv[0], o.inv[1]],
    e: o.e && o.e.slice(),
    l: o.l,
    h: o.h,
    tg: o.tg,
    ct: o.ct && o.ct.slice(),
    lg: o.lg && o.lg.slice(),
    ids: o.ids,
    nt: o.nt,
    pk: o.pk,
    pt: o.pt,
    nl: o.nl,
    P: o.P.map((p) => ({
      lk: p.lk,
      sc: p.sc,
      om: p.om,
      vl: p.vl,
      lt: p.lt,
      L: p.L && p.L.slice(),
      tt: p.tt,
      F: p.F.map((f) => ({
        ...f,
        rd: f.rd && f.rd.slice(),
        fl: f.fl.slice(),
        lj: f.lj && f.lj.slice(),
        cn: f.cn && f.cn.slice(),
      })),
      pd: p.pd.slice(),
      K: p.K.map((k) => ({ ...k, cn: k.cn && k.cn.slice() })),
      all: p.all.slice(),
      own: p.own.slice(),
      rc: p.rc.slice(),
      rw: p.rw.slice(),
      q: p.q.slice(),
      rg: p.rg.slice(),
      at: p.at && p.at.slice(),
      ow: p.ow.slice(),
      qw: p.qw.slice(),
      sw: p.sw.slice(),
    })),
    O: o.O.map((x) => ({ ...x })),
    B: { ...o.B },
  };
};
export function make(cfg, R) {
  R = { ...RULES, ...R };
  const N = cfg.procs || 2,
    TAG = cfg.tag,
    // a load of a missing entry is stored by a plain command, and a read behind it
    STRING = cfg.layout === "string",
    LATE = cfg.tag === "late";
  const init = () => ({
    db: 0,
    inv: [0, 0],
    e: cfg.e0 || null,
    l: 0,
    // the token in the placeholder, which is there only while `e` is not
    h: 0,
    tg: null,
    ct: null,
    // the log of renewals in the issuer: each number renewed the tag (1), another one (0), or is not known (2)
    lg: null,
    ids: 1,
    nt: 1,
    pk: -2,
    pt: -2,
    nl: 0,
    P: Array.from({ length: N }, (_, i) => ({
      lk: cfg.link0 || "A",
      // has backed off from the lease of a refresh, and asks by the script from then on
      sc: 0,
      // the push on its way is that of its own store; a later one has its own place, as their number counts
      om: 0,
      // the node of the versions, where it is another one: "A" reachable, "D" lost, and a replica answers reads
      vl: "A",
      // the version known last: loads are stored under it while none can be pinned
      lt: null,
      // a copy, and with `touch` its version and the touch that kept it
      L: cfg.touch?.includes(i) ? [cfg.e0[0], cfg.e0[1], 1, 0, 0, cfg.e0[4], 0] : null,
      tt: null,
      F: [],
      // fences of values that are made outside a load
      K: [],
      pd: [0, 0, 0],
      all: [0, 0],
      own: [0, 0],
      // what was received of others, over a link that was there
      rc: [0, 0],
      rw: [0, 0],
      q: [0, 0, 0, 0, 0],
      rg: [cfg.touch?.includes(i) ? 1 : 0, 0, 0, 0],
      at: null,
      ow: [0, 0],
      qw: [0, 0],
      sw: [0, 0],
    })),
    O: [],
    B: {
      ops: 0,
      fl: 0,
      loss: 0,
      cut: 0,
      ev: 0,
      evl: 0,
      evt: 0,
      flu: 0,
      ovf: 0,
      lex: 0,
      age: 0,
      fail: 0,
      touch: 0,
      fence: 0,
      again: 0,
      ...cfg.B,
    },
  });
  const up = (p) => p.lk === "A" || p.lk === "C";
  const att = (p) => p.lk === "A" || p.lk === "S"; // P believes attached
  const effTag = (s) => s.tg;
  /** A flight that begins at `st` and answers with nothing older than `floor`. Without the backend it loads at once. */
  const newFlight = (s, p, st, floor, isForced) => ({
    st: p.lk === "D" || (p.vl === "D" && p.pd[2]) ? "x" : st,
    ok: 1,
    tk: 1,
    ep: att(p) ? 1 : 0,
    jo: 1,
    lf: 0,
    wk: 0,
    tok: 0,
    v: p.lk === "D" || (p.vl === "D" && p.pd[2]) ? s.db : -1,
    tv: 0,
    tg: null,
    cn: null,
    rd: null,
    res: 0,
    fl: floor,
    rl: 0,
    rv: null,
    fo: isForced,
    // callers that join after a tag event, the strictest; until `le`
    lj: null,
    le: 0,
    // whether the tag had an event here, and whether Redis has said that its version is that of before the load
    to: 0,
    tf: 0,
    pr: 0,
    bg: 0,
    sn: 0,
    // its store was executed: one, and one more for each push of the key since
    aw: 0,
    // its plain commands have settled nothing: it asks by the script
    by: 0,
  });
  const floors = (p, f) => {
    if (!f.jo) return f.fl;
    const a = att(p) && p.vl === "A" ? p.all : p.own;
    return [mx(f.fl[0], a[0]), mx(f.fl[1], a[1])];
  };
  /** What a caller that joins now must be given at least. */
  const lateFloors = (p, f) => {
    if (f.jo || f.le) return f.lj ?? [0, 0];
    const a = att(p) && p.vl === "A" ? p.all : p.own;
    const was = f.lj ?? [0, 0];
    return [mx(was[0], a[0]), mx(was[1], a[1])];
  };
  const unjoin = (p, f, byTag) => {
    if (f.jo) {
      f.fl = floors(p, f);
      f.jo = 0;
    }
    if (!byTag && !f.le) {
      f.lj = lateFloors(p, f);
      f.le = 1;
    }
  };
  /** The tag of a flight is known: in the call, or once its loader ended. */
  const knowsTag = (f) => (TAG === "early" ? R.lateJoinKnown : R.lateJoinStoring && "USsyKk".includes(f.st));
  /** An event of the tag, or, where `isOther`, of another one of its issuer. */
  const tagEvent = (p, f, own, isOther) => {
    if (!cfg.joins || (!isOther && knowsTag(f))) unjoin(p, f);
    else unjoin(p, f, 1);
    if (isOther) f.tf = mx(f.tf, 1);
    else if (own) f.to = 1;
    else f.tf = 2;
  };
  /** Whether a caller that joined after a tag event gets the answer. */
  const suits = (f, kind) => {
    if (kind !== "loaded") return !R.lateJoinFound || (!f.to && f.tf < 2);
    if (R.lateJoinOwn && f.to) return false;
    return TAG === "early" || f.pr || !R.lateJoinForeign || f.tf === 0 || (f.tf < 2 && !R.lateJoinUnproven);
  };
  const X = { k: 0, t: 1, c: 2, l: 3 };
  const sig = (s, x) => {
    const i = X[x];
    for (const q of s.P) {
      if (q.rg[i]) {
        q.rg[i] = 0;
        if (q.lk === "A") q.q[x === "k" && q.om ? 4 : i] = 1;
      }
    }
  }; // one push to each client that read the key; then it is forgotten
  /** The change that a store of `own` makes. */
  const sigOwn = (s, own) => {
    if (own && own.lk === "A" && own.rg[0] && !own.om) {
      own.rg[0] = 0;
      if (own.q[0]) own.q[4] = 1;
      else own.q[0] = own.om = 1;
    }
    sig(s, "k");
  };
  const reg = (p, x) => {
    if (p.lk === "A" && (x === "k" || x === "l" || p.vl === "A")) p.rg[X[x]] = 1;
  };
  const held = (t) => t.l || t.h;
  const rel = (t, tok, own) => {
    if (tok && t.h && (t.h === tok || !R.releaseByToken)) {
      if (own && t.h === tok) t.nl = 0;
      t.h = 0;
      sig(t, "k", -1);
      return;
    }
    if (tok && (t.l === tok || !R.releaseByToken)) {
      if (own && t.l === tok) t.nl = 0;
      t.l = 0;
      // The entry stays as it is: only clients that wait, and have read the lease, are pushed its end.
      if (t.e ? R.releaseTouch : R.releaseSignals) sig(t, "l");
    }
  };
  const wake = (f) => {
    if (f.st === "W") {
      f.st = "R";
      f.rd = null;
      f.ok = 1;
      f.wk = 0;
      f.to = 0;
    } else if (R.wakeSince) f.wk = 1;
  };
  const fenceKey = (p, own, why) => {
    // own op on the key, or push
    if (own || why === "push") p.L = null;
    if (own && R.fenceOwn) for (const k of p.K) k.ok = 0;
    for (const f of p.F) {
      if (why === "push" && f.aw) f.aw += 1;
      // A change that is reported while it asks for the lease was made before it loads.
      const isAsking = !own && !f.rd && "Qq".includes(f.st) && R.joinAskingKey;
      if (own ? R.unjoinOwn : R.joinPush && !isAsking) unjoin(p, f, !R.lateJoinKey);
      if (own || R.promoPush) f.ok = 0;
      if (own) {
        f.lf = 1;
        if (why === "ack" && R.relOwn && (f.st === "G" || f.st === "l") && f.rl !== 4) f.rl = 1;
        wake(f);
      } else wake(f);
    }
  };
  const fenceTag = (p, own) => {
    if (own || R.tagPush) p.tt = null;
    if (!own && R.receivedHolds && p.L) p.L[7] = 1;
    if (own && R.ownTagDropsL1 && TAG) p.L = null;
    if (own && R.fenceOwn) for (const k of p.K) k.ok = 0;
    for (const f of p.F) {
      if (own ? R.joinOwnTag : R.joinTagPush) tagEvent(p, f, own, 0);
      if (R.tagTabGuard) f.tk = 0;
      if (own) {
        f.ok = 0;
        f.lf = 1;
        if (R.relOwn && (f.st === "G" || f.st === "l") && f.rl !== 4) f.rl = 1;
        wake(f);
      } else if (
        R.relPush &&
        TAG === "early" &&
        f.st === "l" &&
        !f.lf &&
        (f.rl === 0 || R.relAgain) &&
        f.rl !== 1 &&
        f.rl !== 4
      )
        f.rl = R.relCompare ? 2 : 1;
    }
  };
  const bumpOwn = (p, w, soft) => {
    const i = soft ? 1 : 0;
    p.own[i] = mx(p.own[i], w);
    p.all[i] = mx(p.all[i], w);
  };
  const soft = (k) => k === "expire" || k === "tsoft";
  const isTag = (k) => k === "inv";
  const isKey = (k) => k !== "inv" && k !== "rinv";
  const owe = (s, w, sf, o) => {
    const i = sf ? 1 : 0;
    s.inv[i] = mx(s.inv[i], w);
    for (const q of s.P) {
      if (o && !o.z && !o.rp && s.P[o.p] === q) continue;
      if (q.lk === "A") q.ow[i] = mx(q.ow[i], w);
      else if (q.lk === "D" || q.lk === "C") q.all[i] = mx(q.all[i], w);
    }
  };
  const newVer = (s) => {
    if (!s.ct) {
      s.ct = [R.tagUnique ? s.ids++ : 1, 0];
      s.lg = [];
    }
    return s.ct[0] * 10 + s.ct[1];
  };
  const applyOp = (s, o) => {
    if (o.k === "other") {
      // another tag of this issuer is renewed
      if (!s.ct) {
        s.ct = [R.tagUnique ? s.ids++ : 1, 0];
        s.lg = [];
      }
      s.ct[1]++;
      s.lg.push(0);
      if (R.issuerPush) sig(s, "c");
      return;
    }
    // executes at redis
    if (o.k === "store") {
      store(s, null, { v: o.w, tv: o.tv, tok: o.tok, sn: o.sn });
      return;
    }
    if (o.k === "delete" || o.k === "rdel") {
      const had = s.e != null,
        hadL = held(s);
      s.e = null;
      if (R.opsDropLease) {
        if (s.l) sig(s, "l");
        s.l = 0;
      }
      if (R.opsDropPlaceholder) s.h = 0;
      if (had || (R.delSignals && (hadL || R.alwaysSignal))) sig(s, "k", cfg.delMulti ? o.p : -1);
      owe(s, o.w, 0, o);
      s.nl = 0;
    } else if (o.k === "set") {
      s.e = [o.w, TAG ? (s.tg == null ? (s.tg = newVer(s)) : s.tg) : 0, 0, 0, -o.w];
      if (R.opsDropLease && !R.leaseFirst) {
        if (s.l) sig(s, "l");
        s.l = 0;
      }
      s.h = 0;
      sig(s, "k");
      if (R.writeEndsRead && R.copies && !o.z && !(STRING && R.setReadsBehind && !o.rp)) reg(s.P[o.p], "k");
      owe(s, o.w, 0, o);
      s.nl = 0;
    } else if (o.k === "expire") {
      const hadL = held(s);
      if (R.opsDropLease) {
        if (s.l) sig(s, "l");
        s.l = 0;
      }
      if (R.opsDropPlaceholder) s.h = 0;
      if (s.e) {
        s.e[2] = 1;
        if (R.expireRenames) s.e[4] = -200 - o.w;
        sig(s, "k", cfg.expMulti ? o.p : -1);
      } else if (R.delSignals && (hadL || R.alwaysSignal)) sig(s, "k", -1);
      owe(s, o.w, 1, o);
      s.nl = 0;
    } else if (o.k === "inv" || o.k === "rinv") {
      if (!s.ct) {
        s.ct = [R.tagUnique ? s.ids++ : 1, 0];
        s.lg = [];
      }
      s.ct[1]++;
      s.lg.push(cfg.oldWriter ? 2 : 1);
      s.tg = s.ct[0] * 10 + s.ct[1];
      sig(s, "t", -1);
      if (R.issuerPush) sig(s, "c", -1);
      owe(s, o.w, 0, o);
      s.nl = 0;
    } else if (o.k === "xdel") {
      const had = s.e != null || s.h;
      s.e = null;
      s.h = 0;
      if (had) sig(s, "k", -1);
      owe(s, o.w, 0, o);
      s.nl = 0;
    } else if (o.k === "xset") {
      s.e = [o.w, TAG ? (s.tg ?? 0) : 0, 0, 0, -100 - o.w];
      s.h = 0;
      sig(s, "k", -1);
      owe(s, o.w, 0, o);
      s.nl = 0;
    }
  };
  const toPending = (s, p, o) => {
    // outcome unknown or unreachable
    if (!R.unknownPending) {
      return;
    }
    if (o.k === "inv" || o.k === "rinv") p.pd[2] = mx(p.pd[2], o.w);
    else {
      p.pd[0] = mx(p.pd[0], o.w);
      if (o.k === "set" && !R.replayDelete) p.pd[1] = o.w;
      else p.pd[1] = 0;
    }
  };
  const answer = (s, p, f, v, kind, from = "loaded") => {
    const fl = floors(p, f);
    if (cfg.joins && !f.jo && suits(f, from)) {
      const lf = lateFloors(p, f);
      if ((v < lf[0] || (kind === "fresh" && v < lf[1])) && !s.viol)
        s.viol = `late joiner: answer ${kind} v${v} < floor h${lf[0]} s${lf[1]} in P${s.P.indexOf(p)}`;
    }
    const b = v < fl[0] || (kind === "fresh" && v < fl[1]);
    if (b && !s.viol && (!cfg.concurrentSets || cfg.oneWriter)) {
      s.viol = `answer ${kind} v${v} < floor h${fl[0]} s${fl[1]} in P${s.P.indexOf(p)} (own h${p.own[0]} s${p.own[1]})`;
    }
  };
  const drop = (p, f) => {
    p.F.splice(p.F.indexOf(f), 1);
    if (R.wakeLocal) for (const g of p.F) wake(g);
  };
  /** A copy whose tag had an event while it was on its way. */
  const marked = (f, copy) => {
    if (R.receivedHolds && f.tf === 2) copy[7] = 1;
    return copy;
  };
  const fillL1 = (p, f, v, tv, trust, st) => {
    // fenced results never
    const ok = f.ok;
    const t = trust && (R.promoEpoch ? f.ep && att(p) : 1) ? 1 : 0;
    if (!ok) return;
    p.L = marked(f, [v, tv, t, 0, st || 0]);
  };
  const goLocal = (s, f) => {
    f.st = "x";
    f.v = s.db;
  };
  /** A set with a fence that did not reach the backend: its removal is pending. */
  const pendingSet = (p, v, isKept) => {
    p.pd[0] = mx(p.pd[0], v);
    p.pd[1] = 0;
    if (R.fenceAfter)
      for (const g of p.F) {
        unjoin(p, g);
        if (g.fx === undefined) Object.assign(g, { ok: 0, lf: 1 });
      }
    if (R.fenceOwn) for (const k of p.K) k.ok = 0;
    p.L = isKept ? [v, 0, 0, 0, 0] : null;
    bumpOwn(p, v, 0);
  };
  const linkLost = (s, pi, zomb) => {
    const p = s.P[pi];
    p.lk = "D";
    p.q = [0, 0, 0, 0, 0];
    p.om = 0;
    p.rg = [0, 0, 0, 0];
    p.at = null;
    if (R.distrust && p.L) p.L[2] = 0;
    p.tt = R.distrust ? null : p.tt;
    p.all = [mx(p.all[0], s.inv[0]), mx(p.all[1], s.inv[1])];
    p.ow = [0, 0];
    p.qw = [0, 0];
    p.rw = [0, 0];
    p.sw = [0, 0];
    for (const k of p.K) if (k.st !== "m") k.sn = 0;
    for (const f of p.F.filter((each) => each.fx !== undefined && each.st !== "K" && each.st !== "k")) {
      // A set whose outcome is not known.
      f.un = 2;
      pendingSet(p, f.v, f.ok && !f.lf);
    }
    for (const f of p.F) {
      f.ep = 0;
      f.tk = 0;
      f.rl = 0;
      f.rv = null;
      if (f.un === 2) continue;
      if ("YzKk".includes(f.st)) {
        f.un = 2;
        continue;
      }
      if ("RrTtQqAGPhUWg".includes(f.st) && f.st !== "P") {
        if (f.st !== "P") goLocal(s, f);
        f.tokLost = 1;
      } else if (f.st === "S" || f.st === "s" || f.st === "y") {
        // store unknown: answer
        f.un = 1;
      }
    }
    // answers of flights whose store is unknown
    p.F = p.F.filter((f) => f.un !== 2);
    for (const f of p.F.filter((f) => f.un)) {
      answer(s, p, f, f.v, "fresh");
      if (f.ok && !f.lf) p.L = marked(f, [f.v, f.tv, 0, 0, 0]);
      drop(p, f);
    }
    if (cfg.zombieStore)
      for (const f of p.F)
        if (f.st === "l" && !f.lf)
          s.O.push({ p: pi, k: "store", w: f.v, tok: f.tok, tv: f.tv, sn: f.sn, st: "s", ok: 0, ep: 0, z: 1 });
    const keep = [];
    for (const o of s.O) {
      if (o.p !== pi || o.z) {
        keep.push(o);
        continue;
      }
      if (o.st === "s" && zomb && o.k === "set") keep.push({ ...o, z: 1 });
      if (o.rp) {
        continue;
      } // replay: still pending
      toPending(s, p, o);
      if (R.fenceAfter) {
        if (isTag(o.k)) fenceTag(p, 1);
        else fenceKey(p, 1);
      }
      if (o.k === "set" && o.ok) p.L = [o.w, 0, 0, 0, 0];
      bumpOwn(p, o.w, soft(o.k));
    }
    s.O = keep;
  };
  /** An answer in flight may have missed a change of a version. */
  const tainted = (p) => {
    for (const f of p.F) {
      unjoin(p, f);
      f.ep = 0;
      f.tk = 0;
    }
  };
  const versionsLost = (s, pi) => {
    const p = s.P[pi];
    p.vl = "D";
    if (R.partForgets) p.tt = null;
    p.at = null;
    p.q[1] = p.q[2] = 0;
    p.rg[1] = p.rg[2] = 0;
    if (!p.q[0] && !p.q[4]) delivered(s, pi);
    for (const f of p.F) if (f.st === "t") f.st = "T";
    const keep = [];
    for (const o of s.O) {
      if (o.p !== pi || o.z || isKey(o.k)) {
        keep.push(o);
        continue;
      }
      if (o.rp) continue; // still pending
      toPending(s, p, o);
      if (R.fenceAfter) fenceTag(p, 1);
      bumpOwn(p, o.w, 0);
    }
    s.O = keep;
  };
  const serves = (p) =>
    p.L &&
    !p.L[3] &&
    !p.L[4] &&
    (p.L[2] || !R.unconfNotServed) &&
    att(p) &&
    (!TAG || (p.tt != null && p.tt === p.L[1]));
  const next = (s) => {
    const out = [];
    const go = (l, fn) => {
      const t = cp(s);
      if (fn(t) !== false) {
        if (!R.copies) for (const q of t.P) q.L = null;
        if (cfg.autoFlush && (t.pk !== -2 || t.pt !== -2 || t.P.some((p) => p.ow[0] || p.ow[1]))) flush(t);
        if (!cfg.maxLoads) t.nl = 0;
        out.push([l, t]);
      }
    };
    // --- ops
    for (let pi = 0; pi < N; pi++) {
      const p = s.P[pi];
      if (s.B.ops > 0 && s.db < (cfg.maxdb || 9))
        for (const k of cfg.ops[pi] || []) {
          if (
            !cfg.concurrentSets &&
            ((k === "set" && s.O.some((o) => !o.z && !o.rp)) || s.O.some((o) => o.k === "set" && !o.z))
          )
            continue;
          if (k === "force") {
            if (
              p.F.length > 1 ||
              s.O.some((o) => o.k === "set" && !o.z) ||
              (R.pendReadWait && (p.pd[0] || p.pd[2]) && up(p))
            )
              continue;
            go(`P${pi}: DB write v${s.db + 1}, getOrSet(forceRefresh)`, (t) => {
              t.B.ops--;
              const w = ++t.db,
                q = t.P[pi];
              if (R.forceFenceCall) fenceKey(q, 1);
              else for (const f of q.F) unjoin(q, f);
              q.F.push(newFlight(t, q, "Q", [mx(q.all[0], w), mx(q.all[1], w)], 1));
            });
            continue;
          }
          if (k === "other") {
            if (s.ct && s.ct[1] > 3) continue;
            go(`P${pi}: another tag is renewed`, (t) => {
              t.B.ops--;
              const q = t.P[pi];
              for (const f of q.F) tagEvent(q, f, 1, 1);
              applyOp(t, { k, p: pi });
            });
            continue;
          }
          if (k === "xdel" && !s.e && !s.h && !cfg.xdelMissing) continue; // nothing changes, so nothing is pushed
          if (k === "set" && s.P.some((q) => q.F.some((f) => f.fo))) continue;
          go(`P${pi}: DB write v${s.db + 1}, call ${k}`, (t) => {
            t.B.ops--;
            const w = ++t.db;
            const q = t.P[pi];
            if (k === "xdel" || k === "xset") {
              applyOp(t, { k, p: -1, w });
              return;
            }
            if (R.fenceBefore) {
              if (isTag(k)) fenceTag(q, 1);
              else if (k === "expire" && !R.expireDrops) {
                for (const f of q.F) {
                  unjoin(q, f);
                  f.ok = 0;
                  f.lf = 1;
                }
                if (q.L) q.L[3] = 1;
              } else fenceKey(q, 1);
            }
            // later sets of own make earlier own sets' fill void
            if (!isTag(k)) for (const o of t.O) if (o.p === pi && !o.z && R.setFillGuard) o.ok = 0;
            const o = { p: pi, k, w, st: "s", ok: 1, ep: q.lk === "A" || q.lk === "S" ? 1 : 0 };
            if (q.lk === "D" || (q.vl === "D" && isTag(k))) {
              toPending(t, q, o);
              if (!R.fallbackPendingDrop && s.P[pi].L) q.L = s.P[pi].L.slice();
              if (k === "set") q.L = [w, 0, 0, 0, 0];
              bumpOwn(q, w, soft(k));
            } else t.O.push(o);
          });
        }
      // Of the copy, whose version it compares; without a trusted one it reads first.
      const touched = p.L?.[5] !== undefined && (serves(p) || s.e?.[4] === p.L[5]);
      if (s.B.touch > 0 && cfg.touch?.includes(pi) && touched && p.lk === "A" && p.F.length < 3)
        go(`P${pi}: call touch`, (t) => {
          const q = t.P[pi];
          if (!serves(q)) reg(q, "k");
          const g = newFlight(t, q, "Y", [0, 0], 0);
          q.F.push({ ...g, jo: 0, v: q.L[0], tv: q.L[1], tok: q.L[5], ci: t.B.touch-- });
        });
      // --- a value that is made outside a load: a fence before it, and a set behind that
      if (s.B.fence > 0 && up(p) && p.K.length < 2)
        go(`P${pi}: asks for a fence`, (t) => {
          t.B.fence--;
          if (LATE) newVer(t);
          t.P[pi].K.push({ st: "p", ok: 1, tok: 0, sn: 0, v: 0, cn: LATE ? t.ct.slice() : null });
        });
      p.K.forEach((k, ki) => {
        const G = (l, fn) => go(`P${pi}.k${ki}: ${l}`, (t) => fn(t, t.P[pi], t.P[pi].K[ki]));
        if (k.st === "p" && up(p))
          G("the entry's version, or a lease for its mark", (t, q, each) => {
            each.st = "m";
            // Its caller reads the database from here on.
            each.v = t.db;
            each.ok = 1;
            // What a removal has marked hides its version: a mark is put over that.
            const isRemoved = t.e && t.e[5] === 2;
            if ((t.e && !isRemoved) || !R.fenceMarks) each.sn = t.e ? t.e[4] : "none";
            else if (!held(t)) {
              each.tok = t.nt++;
              each.over = isRemoved ? t.e[4] : 0;
              t[isRemoved ? "l" : "h"] = each.tok;
              sig(t, isRemoved ? "l" : "k");
              each.st = "a";
            }
          });
        if (k.st === "a" && up(p))
          G("its mark is stored", (t, q, each) => {
            each.st = "m";
            each.v = t.db;
            each.ok = 1;
            if (each.over ? t.l !== each.tok || t.e?.[4] !== each.over : t.h !== each.tok) return;
            t.h = t.l = 0;
            t.e = [-1, 0, 0, 0, -300 - each.tok, 1];
            each.sn = t.e[4];
            sig(t, "k");
          });
        if (k.st === "m")
          G(`set of v${k.v} with the fence`, (t, q, each) => {
            q.K.splice(ki, 1);
            if (!each.ok || !each.sn) return;
            if (q.lk === "D") return pendingSet(q, each.v, 1);
            q.F.push({ ...newFlight(t, q, "Q", [0, 0], 1), jo: 0, fx: each.sn, v: each.v, cn: each.cn });
          });
      });
      // --- start flight
      if (
        s.B.fl > 0 &&
        p.F.length < 2 &&
        !p.F.some((f) => f.jo) &&
        !serves(p) &&
        !(cfg.flProcs && !cfg.flProcs.includes(pi))
      ) {
        const blocked = R.pendReadWait && (p.pd[0] || (p.pd[2] && p.vl === "A")) && up(p);
        if (!blocked)
          go(`P${pi}: getOrSet starts${p.lk === "D" ? " (backend away)" : ""}`, (t) => {
            t.B.fl--;
            const q = t.P[pi];
            if (q.lk === "D" && q.L && !q.L[3] && !q.L[7] && !cfg.noFallback) {
              // fallback: of its own calls, and of what was received before the link was lost
              const [hard, soft] = [mx(q.own[0], q.rc[0]), mx(q.own[1], q.rc[1])];
              if (q.L[0] < hard || q.L[0] < soft) t.viol = `fallback v${q.L[0]} < floor h${hard} s${soft} P${pi}`;
              return;
            }
            q.F.push(newFlight(t, q, "R", q.all.slice(), 0));
          });
        // A miss is expected: the lease of a missing entry is asked for at once. Nothing is known of the entry.
        if (!blocked && R.leaseFirst && up(p))
          go(`P${pi}: getOrSet starts, with the lease`, (t) => {
            t.B.fl--;
            const q = t.P[pi];
            q.F.push(newFlight(t, q, "Q", q.all.slice(), 0));
          });
      }
      // --- flights
      p.F.forEach((f, fi) => {
        const F = (l, fn) => go(`P${pi}.f${fi}: ${l}`, (t) => fn(t, t.P[pi], t.P[pi].F[fi]));
        switch (f.st) {
          case "R":
            if (up(p))
              F("read executes at Redis" + (s.e ? ` -> v${s.e[0]}` : " -> nothing"), (t, q, g) => {
                reg(q, "k");
                g.rd = t.e && t.e.slice();
                g.st = g.rd ? "r" : "Q";
              });
            break;
          case "r":
            if (up(p))
              F("read reply", (t, q, g) => {
                if (!g.rd) {
                  g.st = "Q";
                  return;
                }
                if (TAG) {
                  if (q.tt != null && att(q)) {
                    g.tg = q.tt;
                    return decide(t, q, g);
                  }
                  g.st = "T";
                  g.tk = 1;
                } else return decide(t, q, g);
              });
            break;
          case "T":
            if (up(p))
              F("tag version read executes -> " + s.tg, (t, q, g) => {
                reg(q, "t");
                g.tg = t.tg;
                g.st = "t";
              });
            break;
          case "t":
            if (up(p))
              F("tag version reply", (t, q, g) => {
                if (g.tg != null && att(q) && q.vl === "A" && (R.tagTabGuard ? g.tk && g.ep : 1)) q.tt = g.tg;
                if (cfg.split && g.tg != null) q.lt = g.tg;
                return decide(t, q, g);
              });
            break;
          case "Q":
            if (up(p))
              F(
                (f.fo ? "forced " : "") +
                  "acquire executes" +
                  ((s.e ? s.l : s.h)
                    ? f.fo
                      ? " -> takes the lease over"
                      : ""
                    : TAG
                      ? " -> granted"
                      : ` -> granted, loader reads DB v${s.db}`),
                (t, q, g) => {
                  g.wk = 0;
                  if (g.fx !== undefined) return acquireBehind(t, q, g);
                  // SET NX of the lease beside: it compares nothing, and is no read for Redis.
                  if (R.plainLease && !g.fo && g.rd && !g.by) {
                    if (!t.l || !R.leaseExclusive) {
                      g.tok = t.nt++;
                      t.l = g.tok;
                      sig(t, "l");
                    } else g.tok = 0;
                    g.st = "A";
                    return;
                  }
                  // The script gives up what was set beside an entry that had changed.
                  if (g.by === 2) {
                    if (R.looksGiveUp && g.tok && t.l === g.tok) {
                      t.l = 0;
                      sig(t, "l");
                    }
                    g.tok = 0;
                  }
                  // SET NX is no read for Redis. Only what it refuses is asked by the script, which reads.
                  const isPlain = !g.fo && !g.rd && !q.sc && !g.by;
                  if (R.acqReads && !isPlain) reg(q, "k");
                  const place = () => {
                    t.h = g.tok;
                    sig(t, "k");
                    if (!isPlain && R.placeholderIsRead) reg(q, "k");
                  };
                  const grant = () => {
                    g.tok = t.nt++;
                    g.sn = g.fo
                      ? R.forceSeen
                        ? t.e
                          ? t.e[4]
                          : 0
                        : "*"
                      : R.seenFromGrant
                        ? t.e
                          ? t.e[4]
                          : 0
                        : g.rd
                          ? g.rd[4]
                          : 0;
                    g.st = TAG && (R.tagsAtGrant || LATE) ? "G" : "l";
                    if (g.st === "l") g.v = t.db;
                    if (g.lf && R.relGranted) g.rl = 1;
                  };
                  if (g.fo) {
                    grant();
                    if (!t.e) {
                      t.l = 0;
                      place();
                    } else if (R.forceTakeover) {
                      t.l = g.tok;
                      sig(t, "l");
                    }
                    t.nl = 0;
                    return;
                  }
                  if (R.acqRecheck && t.e && (!g.rd || t.e[4] !== g.rd[4])) {
                    if (isPlain && R.acqReads) reg(q, "k");
                    g.rd = t.e.slice();
                    g.st = "r";
                    g.ok = R.promoPush ? g.ok : 1;
                    return;
                  }
                  if (!t.e && (R.refreshSeesPlaceholder || isPlain)) {
                    if ((t.h || (t.l && !isPlain && R.placeholderSeesRefresh)) && R.leaseExclusive) {
                      if (isPlain && R.acqReads && R.heldIsRead) reg(q, "k");
                      if (!t.h && R.heldReadsLease) reg(q, "l");
                      g.st = "h";
                      return;
                    }
                    grant();
                    place();
                    t.nl++;
                    if (isPlain) g.st = "q";
                    return;
                  }
                  if (isPlain && R.acqReads) reg(q, "k");
                  if (!t.l || !R.leaseExclusive) {
                    grant();
                    t.l = g.tok;
                    t.nl++;
                    sig(t, "l");
                  } else {
                    if (R.heldReadsLease) reg(q, "l");
                    g.st = "h";
                  }
                },
              );
            break;
          case "A":
            if (up(p))
              F("looks at the lease and at the entry beside", (t, q, g) => {
                if (R.looksReadLease) reg(q, "l");
                if (R.looksReadEntry) reg(q, "k");
                const isSame = !R.looksCompare || (t.e && t.e[4] === g.rd[4]);
                if (isSame && g.tok) {
                  t.nl++;
                  g.sn = R.seenFromGrant && t.e ? t.e[4] : g.rd[4];
                  g.st = TAG && (R.tagsAtGrant || LATE) ? "G" : "l";
                  if (g.st === "l") g.v = t.db;
                  if (g.lf && R.relGranted) g.rl = 1;
                } else if (isSame && t.l) g.st = "h";
                else {
                  g.by = 2;
                  g.st = "Q";
                }
              });
            break;
          case "q":
            // The answer comes behind the push of its own placeholder.
            if (up(p) && !p.q[0] && !p.q[4])
              F("looks for the lease of a refresh" + (s.l ? " -> backs off" : " -> granted"), (t, q, g) => {
                if (t.l && R.placeholderSeesRefresh) {
                  if (t.h === g.tok) {
                    t.h = 0;
                    t.nl = mx(0, t.nl - 1);
                    sig(t, "k");
                  }
                  if (R.acqReads && R.backingOffReads) reg(q, "k");
                  reg(q, "l");
                  if (R.backingOffAsksScript) q.sc = 1;
                  g.tok = 0;
                  g.rl = 0;
                  g.st = "h";
                  return;
                }
                if (R.placeholderIsRead) reg(q, "k");
                if (t.h !== g.tok && R.placeholderIsOwn) {
                  g.by = 1;
                  g.tok = 0;
                  g.rl = 0;
                  g.st = "Q";
                  return;
                }
                g.st = TAG && (R.tagsAtGrant || LATE) ? "G" : "l";
                // The loader is called when the answer has come.
                if (g.st === "l") g.v = t.db;
                if (g.lf && R.relGranted) g.rl = 1;
              });
            break;
          case "G":
            if (LATE && p.at && att(p) && p.lk === "A")
              F(`tag versions known, loader reads DB v${s.db}`, (t, q, g) => {
                g.cn = q.at.slice();
                g.st = "l";
                g.v = t.db;
              });
            else if (up(p) && p.vl === "D")
              F(`no version can be taken, loader reads DB v${s.db}`, (t, q, g) => {
                if (q.lt == null) {
                  rel(t, g.tok, 0);
                  goLocal(t, g);
                  return;
                }
                g.tv = q.lt;
                g.st = "l";
                g.v = t.db;
              });
            else if (up(p))
              F(`tag versions taken, then loader reads DB v${s.db}`, (t, q, g) => {
                if (R.pinReads) {
                  reg(q, "c");
                }
                if (LATE) {
                  newVer(t);
                  g.cn = t.ct.slice();
                  if (g.ep && q.lk === "A" && R.pinReads) q.at = t.ct.slice();
                } else {
                  if (R.pinReads) reg(q, "t");
                  if (t.tg == null) {
                    t.tg = newVer(t);
                    sig(t, "t", -1);
                  }
                  g.tv = t.tg;
                  if (cfg.split) q.lt = t.tg;
                }
                g.st = "l";
                g.v = t.db;
              });
            break;
          case "h":
            if (up(p))
              F("acquire reply: held", (t, q, g) => {
                if (g.bg && R.bgNoWait) {
                  drop(q, g);
                  return;
                }
                if (g.wk) {
                  g.st = "R";
                  g.rd = null;
                  g.ok = 1;
                  g.wk = 0;
                } else g.st = "W";
              });
            break;
          case "W":
            if (up(p) && !held(s) && !cfg.noPoll)
              F("waiter polls", (t, q, g) => {
                g.st = "R";
                g.rd = null;
                g.ok = 1;
                g.ep = q.lk === "A" ? 1 : 0;
                g.wk = 0;
              });
            break;
          case "Y":
            // In turn among the writes of this process.
            if (up(p) && !p.F.some((g, i) => i < fi && "Yz".includes(g.st)))
              F("touch executes", (t, q, g) => {
                g.ok = g.lf ? 0 : 1;
                g.ep = att(q) ? 1 : 0;
                reg(q, "k");
                g.res = t.e && t.e[4] === g.tok && !t.e[2] ? 1 : 0;
                if (g.res) {
                  sig(t, "k");
                  reg(q, "k");
                }
                g.st = "z";
              });
            break;
          case "z":
            if (up(p))
              F("touch reply " + (f.res ? "touched" : "refused"), (t, q, g) => {
                if (!g.res || g.lf) return drop(q, g);
                const isTrusted = g.ok && g.ep && att(q);
                q.L = marked(g, [g.v, g.tv, isTrusted ? 1 : 0, 0, 0, g.tok, g.ci]);
                if (isTrusted || !g.ep) return drop(q, g);
                g.st = "K";
              });
            break;
          case "K":
            if (up(p))
              F("confirmation executes", (t, q, g) => {
                if (R.confirmReads) reg(q, "k");
                g.rv = t.e ? t.e[4] : 0;
                g.st = "k";
              });
            break;
          case "k":
            if (up(p))
              F("confirmation reply", (t, q, g) => {
                const isSame = q.L && q.L[5] === g.tok && (!R.confirmOfCopy || q.L[6] === g.ci);
                if ((!R.confirmCompares || g.rv === g.tok) && g.ep && att(q) && isSame) q.L[2] = 1;
                drop(q, g);
              });
            break;
          case "x":
            if (s.B.fail)
              F("local loader fails", (t, q, g) => {
                t.B.fail--;
                fail(t, q, g);
              });
            F("local load done", (t, q, g) => {
              if (g.ok && !g.lf) q.L = marked(g, [g.v, 0, R.localLoadUntrusted ? 0 : 1, 0, 0]);
              answer(t, q, g, g.v, "fresh");
              drop(q, g);
            });
            break;
          case "l":
            if (s.B.fail)
              F("loader fails", (t, q, g) => {
                t.B.fail--;
                fail(t, q, g);
              });
            if (cfg.storeErr && up(p) && !f.lf)
              F("loader returns, Redis answers the store with an error", (t, q, g) => store(t, q, g, 1));
            if (p.lk !== "S")
              F(
                `loader returns` +
                  (f.lf && R.fencedNoStore
                    ? " (fenced, nothing stored)"
                    : TAG && (LATE || !R.tagsAtGrant)
                      ? ""
                      : " and store executes"),
                (t, q, g) => {
                  if (!up(q) && q.lk === "D") {
                    if (g.ok && !g.lf && TAG !== "x") q.L = marked(g, [g.v, g.tv, 0, 0, 0]);
                    answer(t, q, g, g.v, "fresh");
                    drop(q, g);
                    return;
                  }
                  if (g.lf && R.fencedNoStore) {
                    if (up(q)) rel(t, g.tok, 1);
                    answer(t, q, g, g.v, "fresh");
                    drop(q, g);
                    return;
                  } // release is by token
                  if (TAG && (LATE || !R.tagsAtGrant)) g.st = "U";
                  else store(t, q, g);
                },
              );
            break;
          case "U":
            if (up(p))
              F("late tags check", (t, q, g) => {
                reg(q, "t");
                if (!LATE) {
                  if (t.tg == null) t.tg = newVer(t);
                  g.tv = t.tg;
                  g.st = "S";
                  return;
                }
                const v = t.tg,
                  c = t.ct;
                let ok;
                const same = c && g.cn && c[0] === g.cn[0];
                const log = same ? t.lg.slice(g.cn[1]) : [];
                const isRenewed = R.logged
                  ? log.some((each) => each === 1 || (each === 2 && R.logGap))
                  : c && g.cn && c[1] !== g.cn[1];
                if (!same) ok = 0;
                else if (v == null) ok = R.lateMissing ? !isRenewed : 1;
                else
                  ok =
                    Math.floor(v / 10) !== c[0] ||
                    v % 10 <= g.cn[1] ||
                    (R.logged && R.logPresent ? !isRenewed : !R.logPresent);
                if (!R.lateCheck) ok = 1;
                if (ok) g.pr = 1;
                if (ok) {
                  if (v == null) {
                    t.tg = newVer(t);
                    sig(t, "t", -1);
                  }
                  g.tv = t.tg;
                  g.st = "S";
                } else {
                  if (v == null) {
                    t.tg = newVer(t);
                    sig(t, "t", -1);
                  }
                  rel(t, g.tok, 0);
                  g.st = "s";
                  g.res = 0;
                }
              });
            break;
          case "f":
            if (up(p))
              F("another version: released, nothing stored", (t, q, g) => {
                rel(t, g.tok, 0);
                drop(q, g);
              });
            break;
          case "S":
            if (up(p)) F(`store v${f.v} executes`, (t, q, g) => store(t, q, g));
            if (cfg.storeErr && up(p)) F("store fails in Redis (OOM)", (t, q, g) => store(t, q, g, 1));
            break;
          case "y":
            if (up(p))
              F("the read behind the store executes", (t, q, g) => {
                if (R.storeReadsBehind) reg(q, "k");
                g.res = !R.storeComparesBehind || (t.e && t.e[4] === g.tok) ? 1 : 0;
                g.st = "s";
              });
            break;
          case "s":
            if (up(p))
              F("store reply " + (f.res === 1 ? "stored" : f.res ? "error" : "refused"), (t, q, g) => {
                // One push of the key since the store is its own, or older.
                if (g.res === 1 && !g.lf && R.ownIsOne && (g.aw === 2 || (g.aw > 2 && !R.ownNotTwo))) g.ok = 1;
                // A fence that is kept stands as of its set.
                const isKept = g.fx !== undefined && g.res === 1 && t.B.again > 0;
                const kept = isKept && { st: "m", ok: g.lf && R.keptOwn ? 0 : 1, tok: 0, v: g.v, cn: g.cn };
                if (g.fo && g.res === 1) {
                  const ok = g.ok;
                  if (R.forceFenceAck) {
                    fenceKey(q, 1, "ack");
                    if (R.setFillGuard) for (const y of t.O) if (y.p === pi && !y.z) y.ok = 0;
                  }
                  g.ok = ok;
                  if (g.fx === undefined) bumpOwn(q, g.v, 0);
                }
                if (isKept) {
                  t.B.again--;
                  q.K.push({ ...kept, sn: R.keptVersion ? g.tok : (t.e?.[4] ?? "none") });
                }
                if (g.res === 1 && !g.ok && !g.lf && g.ep && att(q) && !cfg.noConfirm && R.copies) {
                  q.L = marked(g, [g.v, g.tv, 0, 0, 0, g.tok]);
                  answer(t, q, g, g.v, "fresh");
                  unjoin(q, g);
                  g.fl = [0, 0];
                  g.st = "K";
                  return;
                }
                if (g.res === 1) fillL1(q, g, g.v, g.tv, 1);
                else if (g.res === 0) {
                  if (!R.refusedNotL1) fillL1(q, g, g.v, g.tv, 1);
                } else fillL1(q, g, g.v, g.tv, R.noSkipStoreFill ? 0 : 1);
                answer(t, q, g, g.v, "fresh");
                drop(q, g);
              });
            break;
        }
        if (f.rl && p.lk === "A" && (f.st === "G" || f.st === "l")) {
          if (f.rl === 1)
            F("RELEASE executes, load still running", (t, q, g) => {
              rel(t, g.tok, g.lf === 1 ? 1 : 0);
              g.rl = 4;
            });
          if (f.rl === 2)
            F("tag versions re-read -> " + s.tg, (t, q, g) => {
              reg(q, "t");
              g.rv = t.tg;
              g.rl = 3;
            });
          if (f.rl === 3)
            F("re-read reply", (t, q, g) => {
              if (g.rv != null && g.rv !== g.tv) {
                g.rl = 1;
                g.lf = 2;
              } else g.rl = 0;
              g.rv = null;
            });
        }
      });
      // --- link
      if (!cfg.split && p.lk === "A" && s.B.loss > 0 && lp(pi)) {
        go(`P${pi}: connection lost (seen at once)`, (t) => {
          t.B.loss--;
          linkLost(t, pi, 0);
        });
        if (cfg.zombie)
          go(`P${pi}: connection lost, its last bytes still on the way`, (t) => {
            if (!t.O.some((o) => o.p === pi && o.st === "s")) return false;
            t.B.loss--;
            linkLost(t, pi, 1);
          });
      }
      if (cfg.split && p.lk === "A" && p.vl === "A" && s.B.loss > 0 && lp(pi))
        go(`P${pi}: the node of the versions is lost, a replica answers`, (t) => {
          t.B.loss--;
          versionsLost(t, pi);
        });
      if (p.vl === "D")
        go(`P${pi}: changes of versions are reported again`, (t) => {
          const q = t.P[pi];
          if (R.partEpochBack) tainted(q);
          q.vl = "A";
          if (R.partForgets) q.tt = null;
        });
      if (p.lk === "A" && s.B.cut > 0 && lp(pi))
        go(`P${pi}: link silently cut`, (t) => {
          t.B.cut--;
          const q = t.P[pi];
          q.lk = "S";
          q.q = [0, 0, 0, 0, 0];
          q.ow = [0, 0];
          q.qw = [0, 0];
        });
      if (p.lk === "S") go(`P${pi}: heartbeat declares link down`, (t) => linkLost(t, pi, cfg.zombie));
      if (p.lk === "D" && !cfg.noReconnect)
        go(`P${pi}: reconnects` + (R.killOld ? " (kills old)" : ""), (t) => {
          const q = t.P[pi];
          if (R.killOld) t.O = t.O.filter((o) => !(o.p === pi && o.z));
          q.lk = R.trackFirst ? "C" : "C";
          if (!R.trackFirst) {
            // trusted as soon as connected
            for (const f of q.F) unjoin(q, f);
            q.early = 1;
          }
        });
      if (p.lk === "C") {
        go(`P${pi}: TRACKING ON acknowledged, epoch++`, (t) => {
          const q = t.P[pi];
          if (R.joinEpoch) for (const f of q.F) unjoin(q, f, !R.lateJoinEpoch);
          q.lk = "A";
          if (!R.trackFirst)
            for (const f of q.F) {
              f.ep = 1;
              f.tk = 1;
            }
          if (!R.distrust && 0) 0;
        });
      }
      if (up(p) && (p.pd[0] || (p.pd[2] && p.vl === "A")) && !s.O.some((o) => o.p === pi && o.rp))
        go(`P${pi}: replays pending`, (t) => {
          const q = t.P[pi];
          if (q.pd[0])
            t.O.push({
              p: pi,
              k: q.pd[1] && !R.replayDelete ? "set" : "rdel",
              w: q.pd[0],
              st: "s",
              ok: 0,
              ep: 0,
              rp: 1,
            });
          if (q.pd[2] && q.vl === "A") t.O.push({ p: pi, k: "rinv", w: q.pd[2], st: "s", ok: 0, ep: 0, rp: 1 });
        });
      // --- push delivery
      if (p.lk === "A" && p.q[0])
        go(`P${pi}: push for k arrives`, (t) => {
          const q = t.P[pi];
          q.q[0] = q.q[4];
          q.q[4] = q.om = 0;
          fenceKey(q, 0, "push");
          if (R.setFillGuard) for (const y of t.O) if (y.p === pi && !y.z) y.ok = 0;
          delivered(t, pi);
        });
      if (p.lk === "A" && p.q[3])
        go(`P${pi}: push for the lease arrives`, (t) => {
          const q = t.P[pi];
          q.q[3] = 0;
          for (const g of q.F) wake(g);
          delivered(t, pi);
        });
      if (p.lk === "A" && p.q[1])
        go(`P${pi}: push for tag arrives`, (t) => {
          const q = t.P[pi];
          q.q[1] = 0;
          fenceTag(q, 0);
          delivered(t, pi);
        });
      if (p.lk === "A" && p.q[2])
        go(`P${pi}: push for the issuer arrives`, (t) => {
          const q = t.P[pi];
          q.q[2] = 0;
          if (R.atForgotten) q.at = null;
          for (const f of q.F) {
            if (R.joinTagPush) tagEvent(q, f, 0, 1);
          }
          delivered(t, pi);
        });
    }
    // --- op execution and replies
    s.O.forEach((o, i) => {
      const p = s.P[o.p];
      if (
        o.st === "s" &&
        (o.z || up(p)) &&
        (o.z ||
          !R.fifoWrites ||
          !s.O.some(
            (y, j) => j < i && y.p === o.p && !y.z && isKey(y.k) && (y.st === "s" || !cfg.fifoOnly) && isKey(o.k),
          ))
      )
        go(`Redis executes ${o.k} w${o.w} of P${o.p}${o.z ? " (late, old connection)" : ""}`, (t) => {
          const x = t.O[i];
          if (R.leaseFirst && (x.k === "set" || x.k === "expire") && !x.m) {
            if (R.opsDropLease && t.l) {
              sig(t, "l");
              t.l = 0;
            }
            x.m = 1;
            return;
          }
          const isRemoval = R.plainDelete && (x.k === "delete" || x.k === "rdel");
          if (!isRemoval) applyOp(t, x);
          else if (!removePlainly(t, x)) return;
          if (x.z) t.O.splice(i, 1);
          else x.st = STRING && R.setReadsBehind && R.copies && x.k === "set" && !x.rp ? "b" : "x";
        });
      if (o.st === "b" && up(p))
        go(`the read behind set w${o.w} of P${o.p} executes`, (t) => {
          const x = t.O[i];
          reg(t.P[x.p], "k");
          if (R.setComparesBehind && !(t.e && t.e[4] === -x.w)) x.ok = 0;
          x.st = "x";
        });
      if (o.st === "x" && up(p))
        go(`P${o.p}: ${o.k} w${o.w} acknowledged`, (t) => {
          const x = t.O[i],
            q = t.P[o.p];
          t.O.splice(i, 1);
          if (x.rp) {
            if (x.k === "rinv") {
              if (q.pd[2] <= x.w) q.pd[2] = 0;
            } else if (q.pd[0] <= x.w) {
              q.pd[0] = 0;
              q.pd[1] = 0;
            }
            if (R.fenceAfter) {
              if (x.k === "rinv") fenceTag(q, 1);
              else {
                fenceKey(q, 1, "ack");
                if (R.setFillGuard) for (const y of t.O) if (y.p === x.p && !y.z) y.ok = 0;
              }
            }
            return;
          }
          if (R.fenceAfter) {
            if (isTag(x.k)) fenceTag(q, 1);
            else if (x.k === "expire" && !R.expireDrops) {
              for (const f of q.F) {
                unjoin(q, f);
                f.ok = 0;
                f.lf = 1;
              }
              if (q.L) q.L[3] = 1;
            } else {
              fenceKey(q, 1, "ack");
              if (R.setFillGuard && !isTag(x.k)) for (const y of t.O) if (y.p === x.p && !y.z) y.ok = 0;
            }
          }
          if (x.k === "set" && (R.setFillGuard ? x.ok && x.ep && att(q) : 1))
            q.L = [x.w, TAG ? (t.e ? t.e[1] : 0) : 0, 1, 0, 0];
          bumpOwn(q, x.w, soft(x.k));
          q.all = [mx(q.all[0], q.sw[0]), mx(q.all[1], q.sw[1])];
          q.sw = [0, 0];
        });
    });
    // --- redis cycle end: pushes go out
    if (!cfg.autoFlush && (s.pk !== -2 || s.pt !== -2 || s.P.some((p) => p.ow[0] || p.ow[1])))
      go("Redis cycle ends, pushes leave", flush);
    // --- faults at redis
    if (s.B.ev && s.e)
      go("entry evicted/expired", (t) => {
        t.B.ev--;
        t.e = null;
        sig(t, "k", -1);
        t.nl = 0;
      });
    if (s.B.lex && s.l)
      go("lease expires/evicted", (t) => {
        t.B.lex--;
        t.l = 0;
        t.nl = 0;
      });
    if (s.B.lex && s.h)
      go("placeholder expires/evicted", (t) => {
        t.B.lex--;
        t.h = 0;
        sig(t, "k");
        t.nl = 0;
      });
    if (s.B.evt && s.tg != null)
      go("tag key evicted", (t) => {
        t.B.evt--;
        t.tg = null;
        sig(t, "t", -1);
      });
    if (s.B.evt && s.ct)
      go("tag counter evicted", (t) => {
        t.B.evt--;
        t.ct = null;
        t.lg = null;
        sig(t, "c");
      });
    if (s.B.ovf)
      for (const x of ["k", "t", "c"])
        if (s.P.some((p) => p.rg[X[x]]))
          go("the tracking table forgets " + x, (t) => {
            t.B.ovf--;
            sig(t, x);
          });
    if (s.B.flu && (s.e || held(s) || s.tg || s.ct))
      go("FLUSHALL", (t) => {
        t.B.flu--;
        t.e = null;
        t.l = 0;
        t.h = 0;
        t.tg = null;
        t.ct = null;
        t.lg = null;
        t.nl = 0;
        for (const q of t.P)
          if (q.lk === "A") {
            const behindOwn = q.om || q.q[4];
            q.q = q.vl === "A" ? [1, 1, 1, 1, behindOwn] : [1, 0, 0, 1, behindOwn];
            q.rg = [0, 0, 0, 0];
          }
      });
    if (s.B.age && s.e && !s.e[3])
      go("entry becomes stale", (t) => {
        t.B.age--;
        t.e[3] = 1;
        for (const q of t.P) if (q.L) q.L[4] = 1;
        t.nl = 0;
      });
    return out;
  };
  /**
   * HSET of a mark in the place of the value, or SETRANGE of the first byte of a string, then DEL of entry and lease.
   * The first one changes the key even where there is nothing. @returns whether it is done.
   */
  const removePlainly = (t, x) => {
    t.nl = 0;
    if (!x.m) {
      x.m = "marked";
      if (t.e) t.e = STRING ? t.e : [...t.e.slice(0, 5), 2];
      else if (!t.h && R.alwaysSignal) t.e = [-1, 0, 0, 0, -500 - x.w, 2];
      if (t.e || (STRING && t.h)) sig(t, "k");
      return false;
    }
    if (t.e || (R.delSignals && t.h)) sig(t, "k");
    t.e = null;
    if (R.opsDropPlaceholder) t.h = 0;
    if (R.opsDropLease && t.l) {
      sig(t, "l");
      t.l = 0;
    }
    owe(t, x.w, 0, x);
    return true;
  };
  /** Over the placeholder: a read and SET IFEQ, and behind them a read of the version, in another step; or a script. */
  const storeOverPlaceholder = (t, q, g, err) => {
    if (R.condStore && t.h !== g.tok) return;
    t.h = 0;
    // Without copies a plain store is SET alone, and counts no reports.
    const isPlain = STRING && q && R.copies;
    const isCounted = q && !cfg.plain && (R.copies || !STRING);
    if (isCounted) reg(q, "k");
    if (err) {
      t.e = null;
      sig(t, "k");
      if (q && !isPlain && R.storeEndsRead && R.copies) reg(q, "k");
      g.res = 2;
      return;
    }
    t.e = [g.v, g.tv, 0, 0, g.tok];
    if (isCounted && !g.lf) g.aw = 1;
    sigOwn(t, q);
    if (isPlain) g.st = "y";
    else {
      if (q && R.storeEndsRead && R.copies) reg(q, "k");
      g.res = 1;
    }
    if (g.fo && g.fx === undefined) {
      owe(t, g.v, 0, { p: t.P.indexOf(q) });
      t.nl = 0;
    }
  };
  const store = (t, q, g, err) => {
    g.st = "s";
    g.res = 0;
    if (g.sn === 0) {
      if (q && !g.lf) {
        g.ok = 1;
        g.ep = att(q) ? 1 : 0;
      }
      return storeOverPlaceholder(t, q, g, err);
    }
    const mine = t.l === g.tok;
    const P = q && !cfg.plain ? q : null;
    if (q && !g.lf) {
      g.ok = 1;
      g.ep = att(q) ? 1 : 0;
    }
    const end = () => {
      if (q && R.storeEndsRead && R.copies) reg(q, "k");
      // Redis 7.0 counts every key that a script declares.
      if (q) reg(q, "l");
    };
    if (R.condStore && !mine && !(g.fo && !R.forceTakeover)) return;
    if (t.h && !R.storeSeen) t.h = 0;
    if (P) reg(P, "k");
    if (R.storeSeen && g.sn !== "*" && (t.e ? t.e[4] : 0) !== g.sn) {
      if (mine) {
        t.l = 0;
        if (R.refusedSignals) sig(t, "k", -1);
      }
      return;
    }
    if (mine) t.l = 0;
    if (err) {
      sig(t, "l");
      const had = t.e;
      t.e = null;
      if (had || R.errSignals) sig(t, "k", -1);
      end();
      g.res = 2;
      return;
    }
    t.e = [g.v, g.tv, 0, 0, g.tok];
    if (q && !g.lf && !cfg.plain) g.aw = 1;
    sigOwn(t, q);
    sig(t, "l");
    end();
    g.res = 1;
    if (g.fo && g.fx === undefined) {
      owe(t, g.v, 0, { p: t.P.indexOf(q) });
      t.nl = 0;
    }
  };
  /** The lease of a set with a fence, over the version of the fence. */
  const acquireBehind = (t, q, g) => {
    reg(q, "k");
    g.sn = t.e ? t.e[4] : 0;
    const isSame = g.sn === (g.fx === "none" ? 0 : g.fx);
    if (R.fenceCompares && (held(t) || (t.e && !isSame))) return drop(q, g);
    g.tok = t.nt++;
    t.l = t.e ? g.tok : 0;
    sig(t, "l");
    if (!t.e) {
      t.h = g.tok;
      sig(t, "k");
    }
    g.st = R.fenceCompares && !isSame ? "f" : LATE && R.fenceTags ? "U" : "S";
    if (g.st === "S" && TAG) g.tv = t.tg;
    t.nl = 0;
  };
  const decide = (t, q, g) => {
    const rd = g.rd;
    // A mark has no value.
    if (rd[5]) {
      g.inv = 1;
      g.st = "Q";
      return;
    }
    if (TAG && (R.missingTagMiss ? g.tg == null || g.tg !== rd[1] : g.tg != null && g.tg !== rd[1])) {
      g.rd = rd;
      g.inv = 1;
      g.st = "Q";
      return;
    }
    g.inv = 0;
    if (rd[2]) {
      if (!cfg.noSwr && !g.bg) {
        answer(t, q, g, rd[0], R.softNotFresh ? "stale" : "fresh", "found");
        if (!R.softNotFresh) fillL1(q, g, rd[0], rd[1], 1);
        unjoin(q, g);
        g.fl = [0, 0];
        g.bg = 1;
      }
      g.st = "Q";
      return;
    } // soft: served within SWR
    if (rd[3]) {
      answer(t, q, g, rd[0], "fresh", "found");
      unjoin(q, g);
      g.fl = [0, 0];
      g.bg = 1;
      g.st = "Q";
      return;
    } // SWR
    fillL1(q, g, rd[0], rd[1], 1);
    answer(t, q, g, rd[0], "fresh", "found");
    drop(q, g);
  };
  const fail = (t, q, g) => {
    if (R.releaseOnFail && up(q)) rel(t, g.tok, 0);
    if (g.rd && !g.inv) answer(t, q, g, g.rd[0], "grace", "found");
    drop(q, g);
  };
  const flush = (t) => {
    t.P.forEach((q, qi) => {
      if (q.lk !== "A") return;
      if (q.q[0] || q.q[1] || q.q[4]) q.rw = [mx(q.rw[0], q.ow[0]), mx(q.rw[1], q.ow[1])];
      if (q.q[0] || q.q[1] || q.q[2] || q.q[4]) q.qw = [mx(q.qw[0], q.ow[0]), mx(q.qw[1], q.ow[1])];
      else if (t.O.some((o) => o.p === qi && o.st === "x")) q.sw = [mx(q.sw[0], q.ow[0]), mx(q.sw[1], q.ow[1])];
      else q.all = [mx(q.all[0], q.ow[0]), mx(q.all[1], q.ow[1])];
      q.ow = [0, 0];
    });
    t.pk = t.pt = -2;
  };
  const delivered = (t, pi) => {
    const q = t.P[pi];
    if (!q.q[0] && !q.q[1] && !q.q[2] && !q.q[4]) {
      q.all = [mx(q.all[0], q.qw[0]), mx(q.all[1], q.qw[1])];
      q.rc = [mx(q.rc[0], q.rw[0]), mx(q.rc[1], q.rw[1])];
      q.rw = [0, 0];
      q.qw = [0, 0];
    }
  };
  const lp = (pi) => !cfg.lossProcs || cfg.lossProcs.includes(pi);
  const bad = (s) => {
    // I3
    if (s.e && !s.e[5] && !cfg.concurrentSets && !cfg.noI3) {
      const valid = !TAG || (s.tg != null && s.tg === s.e[1]);
      if (valid && s.e[0] < s.inv[0]) return `I3: L2 holds valid v${s.e[0]} < invalidated h${s.inv[0]}`;
      if (valid && !s.e[2] && s.e[0] < s.inv[1]) return `I3: L2 holds fresh v${s.e[0]} < expired s${s.inv[1]}`;
    }
    for (let i = 0; i < N; i++) {
      const p = s.P[i];
      if (serves(p) && !cfg.concurrentSets) {
        const v = p.L[0];
        if (v < p.own[0] || v < p.own[1])
          return `I1: L1 of P${i} serves v${v} < own acknowledged h${p.own[0]} s${p.own[1]}`;
        if (v < p.all[0] || v < p.all[1]) return `I2: L1 of P${i} serves v${v} < delivered h${p.all[0]} s${p.all[1]}`;
      }
      if (p.lk === "D" && p.L && !cfg.concurrentSets) {
        const v = p.L[0];
        if (v < p.own[0] || (!p.L[3] && v < p.own[1]))
          return `I5: fallback copy of P${i} v${v} < own h${p.own[0]} s${p.own[1]}`;
        if (!p.L[7] && (v < p.rc[0] || (!p.L[3] && v < p.rc[1])))
          return `I2: fallback copy of P${i} v${v} < received h${p.rc[0]} s${p.rc[1]}`;
      }
      // I8 coherence: trusted copy equals L2 or a push is on the way
      if (p.lk === "A" && p.L && p.L[2] && !p.q[0] && !p.q[4] && (s.pk === -2 || s.pk === i) && !cfg.noI8) {
        if (!(s.e && s.e[0] === p.L[0] && s.e[1] === p.L[1])) {
          if (!(TAG && p.tt === null) && !s.O.some((o) => o.p === i && o.st === "x"))
            return `I8: trusted copy of P${i} v${p.L[0]} but L2 has ${s.e ? "v" + s.e[0] : "nothing"} and no push is on the way`;
        }
      }
      if (p.L && p.L[3] && p.lk === "A" && !p.q[0] && !p.q[4] && (s.pk === -2 || s.pk === i) && p.L[0] < p.all[0])
        return `I2: soft copy of P${i} v${p.L[0]} usable as grace < h${p.all[0]}`;
      // I7w lost wake-up
      for (const f of p.F)
        if (
          f.st === "W" &&
          p.lk === "A" &&
          cfg.checkWake &&
          held(s) &&
          s.P.some(
            (q, qi) =>
              q.lk === "A" &&
              !q.q[1] &&
              s.pt === -2 &&
              !s.O.some((o) => o.p === qi) &&
              !q.F.some((g) => g.fo && g.st === "Q") &&
              q.F.some(
                (g) =>
                  g.tok === held(s) &&
                  (g.st === "G" || g.st === "l") &&
                  !g.rl &&
                  (g.lf || (TAG === "early" && g.st === "l" && s.tg != null && s.tg !== g.tv)),
              ),
          )
        )
          return `I7v: P${i} waits for a load that can store nothing valid`;
        else if (
          f.st === "W" &&
          p.lk === "A" &&
          cfg.checkWake &&
          held(s) &&
          !s.P.some(
            (q) =>
              q.F.some(
                (g) =>
                  (g.tok === s.l || g.tok === s.h) &&
                  // The script that gives it up is on its way.
                  ("qAGlUSf".includes(g.st) || (g.st === "Q" && g.by === 2)),
              ) || q.K.some((k) => (k.tok === s.h || k.tok === s.l) && k.st === "a"),
          )
        )
          return `I7h: P${i} waits for a lease that no running load holds`;
        else if (
          f.st === "W" &&
          p.lk === "A" &&
          cfg.checkWake &&
          !held(s) &&
          !p.q[0] &&
          !p.q[3] &&
          !p.q[4] &&
          s.pk === -2
        )
          return `I7w: P${i} waits, lease is free, no push on the way`;
    }
    const isLoading = (token) => token && s.P.some((p) => p.F.some((f) => f.tok === token && "GlUS".includes(f.st)));
    if (isLoading(s.l) && isLoading(s.h)) return "I4: two loads, one in the place of the entry and one beside it";
    if (cfg.maxLoads && s.nl > cfg.maxLoads) return `I4: ${s.nl} loads granted with no invalidation or fault between`;
    return null;
  };
  const key = (s) => {
    let k =
      s.db +
      "|" +
      s.inv +
      "|" +
      s.e +
      "|" +
      s.l +
      "," +
      s.h +
      "|" +
      s.tg +
      "|" +
      s.ct +
      ";" +
      s.lg +
      "|" +
      s.ids +
      "|" +
      s.nt +
      "|" +
      s.pk +
      "|" +
      s.pt +
      "|" +
      s.nl;
    for (const p of s.P) {
      k +=
        "#" +
        p.lk +
        p.sc +
        p.om +
        p.vl +
        p.lt +
        "|" +
        p.L +
        "|" +
        p.tt +
        "|" +
        p.pd +
        "|" +
        p.all +
        "|" +
        p.own +
        "|" +
        p.rc +
        p.rw +
        "|" +
        p.q +
        "|" +
        p.rg +
        "|" +
        p.at +
        "|" +
        p.ow +
        "|" +
        p.qw +
        "|" +
        p.sw;
      for (const f of p.K) k += "%" + f.st + f.ok + f.tok + "," + f.sn + "," + f.v + "," + f.cn;
      for (const f of p.F)
        k +=
          "/" +
          f.st +
          f.ok +
          f.tk +
          f.ep +
          f.jo +
          f.lf +
          f.wk +
          f.aw +
          f.by +
          f.res +
          "|" +
          f.tok +
          "|" +
          f.v +
          "|" +
          f.tv +
          "|" +
          f.tg +
          "|" +
          f.cn +
          "|" +
          f.rd +
          "|" +
          f.fl +
          "|" +
          (f.inv ? 1 : 0) +
          f.rl +
          f.fo +
          f.bg +
          "|" +
          f.rv +
          "|" +
          f.sn +
          (cfg.touch ? "|" + f.ci : "") +
          (f.fx === undefined ? "" : "|" + f.fx) +
          (cfg.joins ? "|" + f.lj + f.le + f.to + f.tf + f.pr : "");
    }
    for (const o of s.O)
      k += "!" + o.p + o.k + o.w + o.st + o.ok + o.ep + (o.z ? 1 : 0) + (o.rp ? 1 : 0) + (o.sn ?? "") + (o.m ?? "");
    const b = s.B;
    return (
      k +
      "$" +
      b.ops +
      b.fl +
      b.loss +
      b.cut +
      b.ev +
      b.evl +
      b.evt +
      b.flu +
      b.ovf +
      b.lex +
      b.age +
      b.fail +
      b.touch +
      b.fence
    );
  };
  return { init, next, bad, key, R };
}
export function run(cfg, R = {}, lim = {}) {
  return check({ ...make(cfg, R), ...lim });
}
