import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a write is sent again when its connection is lost",
    promises: ["C217"],
    rule: "options.isReadOnly !== true || !isAway(error)",
    broken: "!isAway(error)",
  },
  {
    name: "redis: a read is not sent again when its connection is lost",
    promises: ["C217"],
    rule: "if (error.maybeExecuted) repeats += 1;",
    broken: "if (error.maybeExecuted) throw error;",
  },
  {
    name: "redis: a read that waits for Redis uses up its repetitions",
    promises: ["C217"],
    rule: "if (error.maybeExecuted) repeats += 1;",
    broken: "repeats += 1;",
  },
  {
    name: "redis: the key of a command does not decide its node",
    promises: ["C216"],
    rule: "function sendOptions({ key, typeMapping }: CallOptions,",
    broken: "function sendOptions({ none: key, typeMapping }: CallOptions & { none?: undefined },",
  },
  {
    name: "redis: a call without room is queued although it should be refused",
    promises: ["C218"],
    rule: 'this.#settings.onOverload === "reject" && queue.isFull',
    broken: "false",
  },
  {
    name: "redis: a wrong signal is noticed when the command was sent",
    promises: ["C364"],
    rule: '  checkSignal("signal", options.signal);\n',
    broken: "",
  },
  {
    name: "redis: a hole passes for an argument",
    promises: ["C364"],
    rule: "args.findIndex(isNoArgument) < 0;",
    broken: "!args.some((arg, i) => i in args && isNoArgument(arg));",
  },
  {
    name: "redis: an option of one call that does not exist is ignored",
    promises: ["C364"],
    rule: "  checkOptions(place, options, known);\n",
    broken: "  checkOptions(place, options, Object.keys(options ?? {}).concat(known));\n",
  },
  {
    name: "redis: an aborted call that was never sent closes a dedicated socket",
    promises: ["C409"],
    rule: "if (command.isSent) this.#settings.onAbandoned?.(signal.reason);",
    broken: "this.#settings.onAbandoned?.(signal.reason);",
  },
];
