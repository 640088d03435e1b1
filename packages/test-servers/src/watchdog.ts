import { spawn } from "node:child_process";
import type { Writable } from "node:stream";

/**
 * Kills processes and removes folders when this process ends in any way: after SIGKILL no handler of its own can run.
 *
 * A shell in a separate session reads orders from a pipe; the pipe ends when this process ends. It needs no timer and
 * does not keep the process alive.
 */
export const watchdog: {
  /** `pid` is killed at the end, also if it is stopped. */
  guard(pid: number): void;
  /** `pid` has ended; another process may have its number now. */
  release(pid: number): void;
  /** `directory` is removed at the end. */
  sweep(directory: string): void;
} = {
  guard: (pid) => order("+", String(pid)),
  release: (pid) => order("-", String(pid)),
  sweep: (directory) => order("d", directory),
};

const SCRIPT = `
pids=" "; trap '' HUP INT TERM
while read -r order what; do
  case $order in
    +) pids="$pids$what " ;;
    -) case $pids in *" $what "*) pids="\${pids%% $what *} \${pids#* $what }" ;; esac ;;
    d) set -- "$@" "$what" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
[ $# -eq 0 ] || rm -rf -- "$@"
`;

let orders: Writable | undefined;

function order(verb: string, what: string): void {
  orders ??= startShell();
  orders.write(`${verb} ${what}\n`);
}

function startShell(): Writable {
  const shell = spawn("/bin/sh", ["-c", SCRIPT], { stdio: ["pipe", "ignore", "ignore"], detached: true });
  shell.unref();
  const pipe = shell.stdin;
  (pipe as unknown as { unref(): void }).unref();
  // Without the shell the servers would outlive a crash, but the tests still work.
  pipe.on("error", () => undefined);
  shell.on("error", () => undefined);
  return pipe;
}
