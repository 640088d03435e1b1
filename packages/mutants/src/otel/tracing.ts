import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "otel: messages of errors are in spans",
    promises: ["C286"],
    rule: "  span?.setStatus({ code: SpanStatusCode.ERROR });",
    broken: "  span?.setStatus({ code: SpanStatusCode.ERROR, message: code });",
  },
  {
    name: "otel: the work of a span runs outside its context",
    promises: ["C286"],
    rule: "return context.with(active, work as",
    broken: "return context.with(context.active(), work as",
  },
  {
    name: "otel: spans are client spans",
    promises: ["C286"],
    rule: "{ kind: SpanKind.INTERNAL, attributes }",
    broken: "{ kind: SpanKind.CLIENT, attributes }",
  },
  {
    name: "otel: probes of a client are spans of their own",
    promises: ["C286"],
    rule: "  if (trace.getSpan(parent) === undefined) return;\n",
    broken: "",
  },
  {
    name: "otel: a handler is no part of the trace of its producer",
    promises: ["C287"],
    rule: "propagation.extract(ROOT_CONTEXT, textsOf(carrier))",
    broken: "propagation.extract(ROOT_CONTEXT, textsOf({}))",
  },
  {
    name: "otel: spans under way stay open when tracing ends",
    promises: ["C286"],
    rule: "    tracing.start.unbindStore(storage);\n    if (open === 0)",
    broken: "    tracing.start.unbindStore(storage);\n   ",
  },
  {
    name: "otel: what a provider throws ends the process",
    promises: ["C286"],
    rule: "const begun = attempt(() => start(traced));",
    broken: "const begun: Begun | undefined = start(traced);",
  },
  {
    name: "otel: texts of a producer are read at any length",
    promises: ["C287"],
    rule: '(typeof value !== "string" && !Buffer.isBuffer(value)) || value.length > room',
    broken: 'typeof value !== "string" && !Buffer.isBuffer(value)',
  },
];
