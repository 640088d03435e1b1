export { main } from "./main.ts";
export { run } from "./run.ts";
export { EXIT, type ExitCode, type Io } from "./io.ts";
