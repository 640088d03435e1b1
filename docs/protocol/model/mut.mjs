import { run, RULES } from "./model.mjs";
import { C } from "./configs.mjs";
import fs from "node:fs";
const A = { autoFlush: 1 },
  Q = { noPoll: 1, checkWake: 1 };
// small variants used for mutants
const S = {
  ...C,
  s_link: { autoFlush: 1, ops: { 0: ["delete", "set"], 1: ["delete"] }, B: { ops: 2, fl: 1, loss: 1 }, lossProcs: [0] },
  s_cutrd: { autoFlush: 1, ops: { 0: ["delete"], 1: ["delete"] }, B: { ops: 1, fl: 2, cut: 1 }, lossProcs: [0] },
  s_pend: { autoFlush: 1, ops: { 0: ["delete"] }, B: { ops: 1, fl: 3, loss: 1 }, lossProcs: [0], flProcs: [0] },
  s_pendset: {
    autoFlush: 1,
    ops: { 0: ["set"], 1: ["delete"] },
    B: { ops: 2, fl: 1, loss: 1 },
    lossProcs: [0],
    flProcs: [1],
  },
  s_oom: { ...A, storeErr: 1, ops: { 1: ["delete"] }, B: { ops: 1, fl: 2 } },
  s_first: { autoFlush: 1, link0: "C", ops: { 1: ["delete"] }, B: { ops: 1, fl: 2 }, flProcs: [0] },
  s_tagpend: {
    autoFlush: 1,
    tag: "early",
    ops: { 0: ["inv"] },
    B: { ops: 1, fl: 3, loss: 1 },
    lossProcs: [0],
    flProcs: [0],
  },
  s_tag3: { autoFlush: 1, tag: "early", ops: { 0: ["inv"] }, B: { ops: 1, fl: 3, evt: 2 }, flProcs: [0] },
  s_tagfill: { autoFlush: 1, tag: "early", ops: { 1: ["inv"] }, B: { ops: 1, fl: 3 }, flProcs: [0] },
  s_f3: { ...A, ops: { 0: ["delete"] }, B: { ops: 1, fl: 3, lex: 1 }, flProcs: [0, 1] },
  s_lx: { ...A, ops: { 0: ["delete"] }, B: { ops: 1, fl: 2, lex: 1 } },
  s_exgr: { ops: { 0: ["expire"], 1: ["set"] }, B: { ops: 2, fl: 1, fail: 1 } },
  s_rel: { ...A, noPoll: 1, checkWake: 1, ops: {}, B: { ops: 0, fl: 2, fail: 1 } },
  s_conc: { concurrentSets: 1, ops: { 0: ["set", "delete"], 1: ["set"] }, B: { ops: 2, fl: 1 } },
  s_zstore: {
    autoFlush: 1,
    zombieStore: 1,
    ops: { 0: ["delete"], 1: ["delete"] },
    B: { ops: 2, fl: 1, loss: 1 },
    lossProcs: [0],
  },
  s_zstore2: {
    autoFlush: 1,
    zombieStore: 1,
    ops: { 0: ["delete"] },
    B: { ops: 1, fl: 2, loss: 1, lex: 1 },
    lossProcs: [0],
  },
  s_oom2: { ...A, storeErr: 1, noI8: 1, ops: { 0: ["delete"], 1: ["delete"] }, B: { ops: 1, fl: 3 } },
  s_oom3: { ...A, storeErr: 1, noI8: 1, ops: { 0: ["delete"], 1: ["set"] }, B: { ops: 2, fl: 2 } },
  s_i4: { ...A, ops: { 0: ["delete"] }, B: { ops: 1, fl: 3 }, maxLoads: 1 },
  s_fifo: { concurrentSets: 1, oneWriter: 1, ops: { 0: ["set", "delete"] }, B: { ops: 2, fl: 1 } },
  s_exgrm: { expMulti: 1, delMulti: 1, noSwr: 1, ops: { 0: ["expire"], 1: ["set"] }, B: { ops: 2, fl: 1, fail: 1 } },
  s_delm: { delMulti: 1, expMulti: 1, ops: { 0: ["delete", "expire"], 1: ["set"] }, B: { ops: 2, fl: 1 } },
  s_setx: { ...A, ops: { 0: ["delete"], 1: ["set"] }, B: { ops: 2, fl: 1, lex: 1 } },
  s_tagi4: { ...A, tag: "early", ops: {}, B: { ops: 0, fl: 3 }, maxLoads: 1 },
  s_wakex: { ...A, ...Q, tag: "early", ops: { 0: ["inv"] }, B: { ops: 1, fl: 2 } },
  s_tagset: { autoFlush: 1, tag: "early", ops: { 0: ["set"], 1: ["inv"] }, B: { ops: 2, fl: 1, evt: 1 } },
};
const M = process.argv[2] ? process.argv[2].split(",") : Object.keys(RULES).filter((r) => RULES[r]);
const small = [
  "e_touch",
  "e_seen",
  "e_soft",
  "e_softdel",
  "e_tag",
  "e_seeni4",
  "e_exp",
  "s_oom",
  "s_first",
  "s_rel",
  "s_conc",
  "s_fifo",
  "s_zstore",
  "herd",
  "wake",
  "swr",
  "expire",
  "s_exgr",
  "s_exgrm",
  "s_delm",
  "s_lx",
  "zombie",
  "forcex",
  "forceown",
  "forcedel",
  "force1",
  "force2",
  "forcewake",
  "s_tagi4",
  "s_wakex",
  "tagi4",
  "wakesoft",
  "oomwake",
  "oomexp",
  "xwake",
  "xref",
  "softswr",
  "softnw",
  "latewake",
  "tagwake",
  "s_pendset",
  "s_link",
  "s_cutrd",
  "s_pend",
  "s_f3",
  "s_tagfill",
  "s_tag3",
  "s_tagpend",
  "s_tagset",
  "late",
  "dfault",
  "set",
  "expire2",
  "ovf",
  "tagovf",
  "lateovf",
  "late3",
  "late4",
  "storeunread",
  "setread",
  "plain",
  "splitone",
  "splitpend",
  "split",
];
// scenarios tried first for a mutant (where it is known to die); then all small ones
const H = {
  fenceBefore: "s_pend s_link",
  fenceAfter: "s_f3 s_lx",
  unjoinOwn: "s_lx",
  opsDropLease: "s_setx s_lx",
  condStore: "s_lx",
  storeSeen: "xref",
  refusedNotL1: "s_lx",
  promoPush: "s_lx",
  promoEpoch: "s_cutrd s_link",
  setFillGuard: "s_conc",
  tagTabGuard: "s_tagfill",
  distrust: "s_cutrd s_link",
  trackFirst: "s_first",
  unconfNotServed: "s_cutrd s_link s_pend",
  localLoadUntrusted: "s_link s_pend",
  joinPush: "s_lx",
  joinEpoch: "s_cutrd s_pend",
  joinOwnTag: "s_tag3",
  joinTagPush: "s_tagfill s_wakex tag",
  tagPush: "s_tagfill",
  ownTagDropsL1: "s_tagpend",
  tagsAtGrant: "s_tag3",
  lateCheck: "late",
  lateMissing: "late",
  tagUnique: "e_issuer",
  missingTagMiss: "s_tag3",
  delSignals: "s_lx s_f3",
  alwaysSignal: "s_lx s_f3",
  expireDrops: "s_exgrm s_exgr",
  unknownPending: "s_pend",
  fallbackPendingDrop: "s_pend s_link",
  pendReadWait: "s_pend",
  replayDelete: "s_pendset",
  killOld: "zombie",
  fifoWrites: "s_fifo",
  leaseExclusive: "herd",
  acqRecheck: "herd",
  releaseByToken: "e_reltok s_i4",
  releaseOnFail: "s_rel",
  releaseSignals: "s_rel",
  wakeSince: "wake",
  releaseTouch: "e_touch e_tag",
  refusedSignals: "e_seen",
  errSignals: "oomwake",
  forceTakeover: "forcex force1",
  forceSeen: "forcex",
  forceFenceAck: "forceown forcex",
  relOwn: "s_wakex",
  relPush: "s_wakex",
  relCompare: "s_tagi4",
  relAgain: "s_wakex",
  relGranted: "forcewake s_wakex oomwake",
  softNotFresh: "e_soft",
  bgNoWait: "e_seeni4",
  seenFromGrant: "e_exp",
  expireRenames: "e_soft",
  acqReads: "forcedel wake ovf",
  storeEndsRead: "storeunread plain ovf",
  writeEndsRead: "setread",
  pinReads: "late3 tagovf",
  confirmReads: "ovf s_lx d2",
  confirmCompares: "d2 s_lx setread",
  issuerPush: "late3",
  atForgotten: "late4",
  partForgets: "splitone split",
  partEpochBack: "splitone split",
  opsDropPlaceholder: "d2",
  heldIsRead: "wake",
  storeReadsBehind: "d2",
  storeComparesBehind: "d2",
  refreshSeesPlaceholder: "e_exp",
};
const order = (m) => [...new Set([...(H[m] || "").split(" ").filter(Boolean), ...(process.env.HINTS ? [] : small)])];
const cs0 =
  process.argv[3] && process.argv[3] !== "-" ? process.argv[3].split(",") : M[0] === "none" ? Object.keys(S) : null;
// LAYOUT=string: every scenario with entries that are strings
const STRINGS = [
  "opsDropPlaceholder",
  "heldIsRead",
  "storeReadsBehind",
  "storeComparesBehind",
  "refreshSeesPlaceholder",
];
const layoutOf = (rule) => process.env.LAYOUT ?? (STRINGS.includes(rule) ? "string" : undefined);
const ms = +(process.argv[4] || (M[0] === "none" ? 60000 : 5000));
const verbose = process.argv[5];
for (const m of M) {
  let best = null;
  const t0 = Date.now();
  const done = [];
  let sum = 0;
  for (const c of cs0 || order(m)) {
    if (!S[c]) {
      console.log("no scenario", c);
      continue;
    }
    const r = run({ ...S[c], layout: layoutOf(m) }, m === "none" ? {} : { [m]: 0 }, {
      maxMs: ms,
      maxStates: +(process.env.MS || (m === "none" ? 4e6 : 1.2e6)),
    });
    done.push(c + (r.ok ? "" : r.incomplete ? "?" : "!") + r.states);
    sum += r.states;
    if (m === "none")
      console.log(
        `${c.padEnd(11)} ${r.ok ? "exhaustive" : r.incomplete ? "stopped   " : "VIOLATION "} ${String(r.states).padStart(9)} states, depth ${r.depth}, ${r.ms} ms`,
      );
    if (r.violation) {
      best = { c, ...r };
      if (m !== "none") break;
      console.log("BASE VIOLATION", c, r.violation, "\n" + r.trace.map((x, i) => `   ${i + 1}. ${x}`).join("\n"));
    }
  }
  console.log(
    m,
    best
      ? `CAUGHT in ${best.c}: ${best.violation} (${best.trace.length} steps, ${best.states} states)`
      : m === "none"
        ? `no violation, ${sum} states`
        : "NOT CAUGHT",
    `${Date.now() - t0}ms`,
    m !== "none" && !best ? done.join(" ") : "",
  );
  if (best && verbose && m !== "none") console.log(best.trace.map((x, i) => `   ${i + 1}. ${x}`).join("\n"));
}
