// A client in another process, which the test opens: statements of one process never meet, since each blocks it.

import { answerForSwapStore } from "hotset/testing";
import { sqliteStore } from "./sqlite-backend.ts";

answerForSwapStore(sqliteStore(process.argv[2]!, "elsewhere"));
