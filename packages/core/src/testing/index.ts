export { TestClock } from "./test-clock.ts";
export { gate, type Gate } from "./gate.ts";
export { flush, outcome, type Outcome } from "./outcome.ts";
