/// <reference lib="dom" />
/**
 * The recording that the page carries.
 *
 * @module
 */
import type { Panels, TimeRange } from "../model/panels.ts";
import { unpackModel } from "../model/pack.ts";
import { BLOCKS, type CarriedSql } from "../model/payload.ts";
import { TraceModel } from "../model/trace_model.ts";
import { takeBlock } from "./blocks.ts";
import { PageDatabase } from "./page_database.ts";
import type { Nameable, OpenProgress, Overview, Source, SqlAnswer } from "./source.ts";

/** Answers from the page itself. */
export class CarriedSource implements Source {
  #model: TraceModel | null = null;
  #sql: Promise<CarriedSql> | null = null;
  #database: Promise<PageDatabase> | null = null;

  async open(buckets: number, progress: OpenProgress): Promise<Overview> {
    progress.step("Unpacking", 0);
    this.#model = new TraceModel(unpackModel(await takeBlock(BLOCKS.model)));
    return { info: this.#model.data.info, panels: this.#model.panels(this.#model.whole, buckets) };
  }

  panels(range: TimeRange, buckets: number): Promise<Panels> {
    if (this.#model === null) throw new Error("The recording is not open.");
    return Promise.resolve(this.#model.panels(range, buckets));
  }

  async sql(text: string): Promise<SqlAnswer> {
    const carried = await this.#carried();
    this.#database ??= PageDatabase.start(carried);
    try {
      return await (await this.#database).ask(text);
    } catch (error) {
      if ((error as { fatal?: boolean }).fatal) this.#database = null;
      throw error;
    }
  }

  async nameables(): Promise<Nameable[]> {
    const { views, tables } = await this.#carried();
    return [...views, ...tables.map((t) => ({ signature: t.name, summary: "table", columns: [] }))];
  }

  #carried(): Promise<CarriedSql> {
    return this.#sql ??= takeBlock(BLOCKS.sql).then((b) => JSON.parse(new TextDecoder().decode(b)));
  }
}
