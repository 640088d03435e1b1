// A change that belongs to a database transaction: one writer, one other process that loads, one row, one key. The
// writer's record of what it is about to change is an entry like any other: read, kept as a copy, pushed when it changes.
//
//   node transactions.mjs              all rules
//   node transactions.mjs again v      without one rule: the shortest way to a wrong answer
import { check } from "./mc.mjs";

export const RULES = [
  "acknowledged", // the record is written before the commit is sent
  "before", // a load asks for records before it stores
  "after", // and again when its store is answered: what it has stored is removed
  "trusted", // a copy of the record is asked only until a push of it
  "committed", // changes are made once the commit is answered, not before it is sent
  "released", // the record goes once the changes are acknowledged
  "unknown", // a commit without an answer counts as one
  "again", // and its changes are made again when its record ends
  "rolled back", // after a rollback no change is made
];

const copy = (s) => structuredClone(s);

/**
 * `row`: what a query sees; `entry`: of the row, and stored under which knowledge; `record`: whether there is one;
 * `seen`: the copy of the record; `push`: of it, on its way.
 */
function transactions(cfg, R) {
  const init = () => ({
    row: 0,
    entry: cfg.entry ? { of: 0, since: "before" } : null,
    lease: 0,
    record: 0,
    seen: null,
    push: 0,
    w: "idle",
    fate: null,
    isChanged: 0,
    load: null,
    B: { loads: cfg.loads },
  });
  const next = (s) => {
    const out = [];
    const go = (label, fn) => {
      const t = copy(s);
      fn(t);
      out.push([label, t]);
    };
    const record = (t, value) => {
      if (t.record !== value && t.seen !== null) t.push = 1;
      t.record = value;
    };
    const change = (t) => {
      t.entry = null;
      t.lease = 0;
      t.isChanged = 1;
    };
    const W = {
      idle: () => go("W begins, and says what it changes", (t) => (t.w = "open")),
      open: () => {
        go("W's record is written", (t) => {
          record(t, 1);
          t.w = "fenced";
        });
        if (!R.acknowledged) go("W commits without a record", (t) => commit(t, true));
      },
      fenced: () => {
        if (!R.committed && !s.isChanged) go("W makes its changes early", change);
        go("W commits", (t) => commit(t, true));
        go("W rolls back", (t) => (t.w = "rolled back"));
        go("W's commit has no answer, and is made", (t) => commit(t, false));
        go("W's commit has no answer, and comes late", (t) => {
          t.fate = "late";
          t.w = R.unknown ? "unknown" : "over";
        });
        go("W is killed", (t) => (t.w = "killed"));
        go("W is killed, and its commit comes late", (t) => {
          t.fate = "late";
          t.w = "killed";
        });
      },
      committed: () => {
        if (!R.released) go("W's record goes early", (t) => record(t, 0));
        go("W makes its changes", (t) => {
          if (R.committed || !t.isChanged) change(t);
          t.w = "changed";
        });
        go("W is killed after its commit", (t) => (t.w = "killed"));
      },
      changed: () =>
        go("W's record goes", (t) => {
          record(t, 0);
          t.w = "over";
        }),
      "rolled back": () =>
        go("W's record goes after a rollback", (t) => {
          if (!R["rolled back"]) change(t);
          record(t, 0);
          t.w = "over";
        }),
      unknown: () => {
        if (!s.isChanged) go("W makes its changes, not knowing", change);
        // The commit has come by then, or never does.
        else if (s.fate !== "late")
          go("W's record ends", (t) => {
            if (R.again) change(t);
            record(t, 0);
            t.w = "over";
          });
      },
      killed: () => s.fate !== "late" && s.record === 1 && go("the record of a dead process ends", (t) => record(t, 0)),
      over: () => {},
    };
    const commit = (t, isAnswered) => {
      t.row = 1;
      t.w = isAnswered ? "committed" : R.unknown ? "unknown" : "over";
      if (!isAnswered && !R.unknown) t.lost = 1;
    };
    W[s.w]();
    if (s.fate === "late") {
      go("the late commit is made", (t) => {
        t.row = 1;
        t.fate = "made";
        if (!R.unknown && t.w !== "killed") t.lost = 1;
      });
      go("the late commit is dropped", (t) => (t.fate = "dropped"));
    }
    if (s.push) go("the push is delivered", delivered);
    if (s.load === null && s.B.loads > 0 && s.entry === null)
      go("P takes the lease", (t) => {
        t.B.loads--;
        t.load = { st: "leased" };
        t.lease = 1;
      });
    if (s.load !== null) {
      const step = (label, fn) => go(`P ${label}`, (t) => fn(t, t.load));
      const asks = (t) => {
        if (t.seen === null || !R.trusted) t.seen ??= t.record;
        return t.seen === 1;
      };
      const ended = (t) => {
        t.load = null;
        t.lease = 0;
      };
      if (s.load.st === "leased")
        step("reads the row", (t, own) => Object.assign(own, { st: "loaded", of: t.row, openAt: s.w }));
      else if (s.load.st === "loaded")
        step("asks for records", (t, own) => {
          if (R.before && asks(t)) ended(t);
          else own.st = "sends";
        });
      else if (s.load.st === "sends")
        step("stores", (t, own) => {
          const isKnown = t.record === 1 && !t.push && t.seen === 1;
          if (t.lease) t.entry = { of: own.of, since: t.record ? "after" : "before" };
          if (t.lease && isKnown) t.viol = "stored, although the process knows of the transaction";
          own.st = t.lease ? "stored" : "asked";
          t.lease = 0;
        });
      else if (s.load.st === "stored")
        // A push comes before the reply of a later command.
        step("has the answer", (t, own) => {
          if (t.push) delivered(t);
          own.st = "asked";
          if (!R.after || !asks(t)) return;
          t.entry = null;
        });
      else if (s.load.st === "asked") step("is done", ended);
    }
    return out;
  };
  const delivered = (t) => {
    t.push = 0;
    if (R.trusted) t.seen = null;
  };
  const bad = (s) => {
    const isOpen = s.w === "fenced" || s.w === "committed";
    if (s.record === 1 && isOpen && s.load === null && s.entry?.since === "after")
      return "what was loaded during the transaction is stored";
    if (
      (s.w === "changed" || s.w === "over") &&
      s.fate !== "late" &&
      s.row === 1 &&
      s.load === null &&
      s.entry?.of === 0
    )
      return "an older row is stored after the change";
    const isUndone = s.w === "over" && s.row === 0 && s.fate === null;
    if (isUndone && cfg.entry && s.entry === null && s.B.loads === cfg.loads) return "a rollback took the copy";
    if (s.w === "open" && s.row === 1) return "committed before other processes know";
    if (s.row === 1 && s.w === "committed" && s.record === 0) return "committed, and other processes may store";
    return undefined;
  };
  return { init, next, bad, key: (s) => JSON.stringify(s) };
}

const CONFIGS = { empty: { entry: false, loads: 3 }, cached: { entry: true, loads: 2 } };

const [without, verbose] = process.argv.slice(2);
const R = Object.fromEntries(RULES.map((rule) => [rule, rule !== without]));
for (const [name, cfg] of Object.entries(CONFIGS)) {
  const { states, depth, violation, trace, ok } = check({ ...transactions(cfg, R), maxMs: 60_000 });
  console.log(name, violation ?? (ok ? "exhaustive" : "incomplete"), `${states} states, depth ${depth}`);
  if (violation !== undefined && verbose) console.log(trace.map((each) => `  ${each}`).join("\n"));
}
