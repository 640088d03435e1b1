/**
 * A database in memory with the interface of Drizzle: a transaction sees its own writes, and others see them once it
 * has committed. The test decides how the commit ends.
 */
export class StandIn {
  row = "old";
  /** What was executed, by transactions that have committed alone. */
  readonly statements: string[] = [];
  /** Rows of the outbox, as a query finds them. */
  outbox: { id: string; changes: string }[] = [];
  commit: (make: () => void) => Promise<void> = async (make) => make();
  begun = 0;

  async transaction<T>(body: (tx: StandInTransaction) => Promise<T>): Promise<T> {
    this.begun += 1;
    const tx = new StandInTransaction(this);
    const result = await body(tx);
    await this.commit(() => tx.apply());
    return result;
  }

  async execute(sql: string): Promise<unknown> {
    this.apply(sql);
    return { rows: sql.startsWith("select") ? [...this.outbox] : [] };
  }

  apply(sql: string): void {
    this.statements.push(sql);
    const [, id, changes] = /^insert into \w+ .*values \('(.*)', '.*', '(.*)'\)$/.exec(sql) ?? [];
    if (id !== undefined) this.outbox.push({ id, changes: changes! });
    if (sql.startsWith("delete")) this.outbox = this.outbox.filter((row) => !sql.includes(`'${row.id}'`));
  }
}

export class StandInTransaction {
  readonly #of: StandIn;
  readonly #statements: string[] = [];
  row: string;

  constructor(of: StandIn) {
    this.#of = of;
    this.row = of.row;
  }

  async execute(sql: string): Promise<unknown> {
    this.#statements.push(sql);
    return { rows: [] };
  }

  async transaction<T>(body: (tx: StandInTransaction) => Promise<T>): Promise<T> {
    const { row } = this;
    try {
      return await body(this);
    } catch (error) {
      this.row = row;
      throw error;
    }
  }

  apply(): void {
    this.#of.row = this.row;
    for (const sql of this.#statements) this.#of.apply(sql);
  }
}

/** An error of a driver. */
export const coded = (code: string): Error => Object.assign(new Error(code), { code });
