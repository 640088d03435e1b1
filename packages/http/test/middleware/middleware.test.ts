import { describeNode } from "./cells.ts";
import { kitOf } from "./parts.ts";

// The kinds that have failed before; matrix.nightly.test.ts has all.
describeNode(() => kitOf(import.meta.url), ["express-session", "compression", "a proxy that copies fields"]);
