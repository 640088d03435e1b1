import type { Route } from "../connection/command-queue.ts";

/** Where a command goes next. */
export interface Redirected<Node> {
  readonly node: Node;
  /** `asking`: this once, since the slot is being moved there. */
  readonly mode: "plain" | "asking";
}

/** The way of one command from node to node. */
export class Way<Node extends { readonly part: string }> implements Route {
  node: Node;
  mode: Redirected<Node>["mode"] = "plain";
  redirections = 0;

  constructor(node: Node) {
    this.node = node;
  }

  get server(): string {
    return this.node.part;
  }

  goOn({ node, mode }: Redirected<Node>): void {
    this.node = node;
    this.mode = mode;
    this.redirections += 1;
  }
}
