import { CacheError } from "@hotset/core";
import { errorPage } from "@hotset/core/internal";

declare module "@hotset/core" {
  interface CacheErrorCodes {
    /** A call costs more than its limit ever allows. */
    readonly COST_ABOVE_LIMIT: true;
  }
}

/** A call costs more than a rule ever allows in one go: waiting cannot help. Nothing was counted. */
export class CostAboveLimitError extends CacheError {
  override readonly name = "CostAboveLimitError";
  override readonly code = "COST_ABOVE_LIMIT";
  override readonly url: string = errorPage(this.code);
  /** Units that the call asked for. */
  readonly cost: number;
  /** The least that one of the rules allows in one go. */
  readonly limit: number;

  constructor(name: string, cost: number, limit: number) {
    super(`rateLimit ${JSON.stringify(name)}: a call that costs ${cost} never fits into a limit of ${limit}`);
    this.cost = cost;
    this.limit = limit;
  }
}
