// The suite of Keyv 5 for stores, as its authors publish it. That of Keyv 6 is not published: suites.ts runs it.
import { createCache } from "@hotset/core";
import { keyvStore } from "@hotset/keyv";
import { memory } from "@hotset/memory";
import keyvTestSuite from "@keyv/test-suite";
import { Keyv } from "keyv";
import * as vitest from "vitest";

const cache = createCache({ name: "keyv-suite" }).tier(memory()).defaults({ ttl: "1m" }).build();

keyvTestSuite(vitest, Keyv, () => keyvStore(cache));
