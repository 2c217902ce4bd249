/** A thousand runs on two ClickHouse servers: the answers of DuckDB, or an error. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DuckDBInstance } from "@duckdb/node-api";
import { ClickHouse, ClickHouseError, shardOf } from "../../analysis/fleet/clickhouse.ts";
import { FLEET_TABLES } from "../../analysis/fleet/tables.ts";
import { duckdbScript, fleetViews } from "../../analysis/fleet/views.ts";
import { main } from "../../cli/main.ts";
import { DirectoryStore } from "../../traces/store.ts";
import { hasProgram } from "../programs.ts";
import { synthesize } from "../synthetic_trace.ts";
import { type Server, startServers } from "./servers.ts";

const RUNS = 1000, EXITS = 60;
/** Text of a guest that would like to run statements, or to end a row. */
const HOSTILE = `'; DROP TABLE runs; --\\'\t\\N\\`;

const folder = await Deno.makeTempDir({ prefix: "retrovisor-fleet-" });

function makeRuns(from: number, to: number): string[] {
  const paths: string[] = [];
  for (let i = from; i < to; i++) {
    const path = `${folder}/traces/boot-${String(i).padStart(4, "0")}.trace`;
    Deno.mkdirSync(path, { recursive: true });
    synthesize(new DirectoryStore(path), {
      exits: EXITS + i % 7,
      vcpus: 1 + i % 3,
      seed: i + 1,
      functions: 20,
      config: { cmdline: i % 100 === 0 ? `console=${HOSTILE}` : "console=hvc0" },
      text: (kind, n) => i % 50 === 0 ? `${kind} ${n} ${HOSTILE}\n` : `${kind}_${n}\n`,
    });
    paths.push(path);
  }
  return paths;
}

/** Rows as text that does not depend on how an engine spells numbers. */
function normal(rows: readonly (readonly unknown[])[]): string[] {
  return rows.map((r) =>
    r.map((v) => {
      if (v === null || v === "\\N") return "null";
      const number = typeof v === "object" ? Number(String(v)) : v;
      return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(String(number)) ? String(Number(number)) : String(number);
    }).join("|")
  );
}

async function duckdbRows(): Promise<(sql: string) => Promise<string[]>> {
  const native = await (await DuckDBInstance.create(":memory:")).connect();
  for (const statement of duckdbScript(`${folder}/runs`)) await native.run(statement);
  return async (sql) => normal((await native.runAndReadAll(sql)).getRows());
}

Deno.test({
  name: "a thousand runs on two ClickHouse servers answer as DuckDB does, and a dead server is an error",
  ignore: !hasProgram("clickhouse-server"),
  sanitizeResources: false,
  fn: async (t) => {
    const servers: Server[] = [];
    try {
      const traces = makeRuns(0, RUNS);
      assertEquals(
        await main(["export", ...traces, "--to", "parquet", "--partition", "-o", `${folder}/runs`]),
        0,
      );
      assertEquals([...Deno.readDirSync(`${folder}/runs`)].length, RUNS);
      servers.push(...await startServers(folder, 2));
      const urls = servers.map((s) => s.url);
      assertEquals(await main(["load", `${folder}/runs`, "--to", "clickhouse", ...urls]), 0);
      const [first, second] = urls.map((u) => new ClickHouse(u));

      await t.step("runs lie on both servers, each whole on one", async () => {
        const here = (await first.rows("SELECT run FROM retrovisor.runs_local")).length;
        const there = (await second.rows("SELECT run FROM retrovisor.runs_local")).length;
        assertEquals(here + there, RUNS);
        assert(here > RUNS / 3 && there > RUNS / 3, `${here} and ${there}`);
        for (const { name } of FLEET_TABLES) {
          const bad =
            `SELECT DISTINCT run FROM retrovisor.${name}_local WHERE run NOT IN (SELECT run FROM retrovisor.runs_local)`;
          assertEquals(await first.rows(bad), [], name);
        }
      });

      const duckdb = await duckdbRows();
      await t.step("every view answers the same on DuckDB and on either server", async () => {
        for (const { name } of fleetViews()) {
          const expected = await duckdb(`SELECT * FROM ${name}`);
          assert(expected.length > 0, `${name} is empty`);
          for (const server of [first, second]) {
            const got = normal(await server.rows(`SELECT * FROM retrovisor.${name}`));
            assertEquals(got.toSorted(), expected.toSorted(), name);
          }
        }
      });

      await t.step("every table holds the same rows, guest text included", async () => {
        for (const { name, columns } of FLEET_TABLES) {
          const some = columns.map((c) => c.name).join(", ");
          const sql = (from: string) =>
            `SELECT run, ${some} FROM ${from} WHERE run IN ('boot-0000', 'boot-0150', 'boot-0999')`;
          const expected = await duckdb(sql(name));
          assertEquals(
            normal(await first.rows(sql(`retrovisor.${name}`))).toSorted(),
            expected.toSorted(),
            name,
          );
          assertEquals(
            await duckdb(`SELECT count(*) FROM ${name}`),
            normal(await first.rows(`SELECT count() FROM retrovisor.${name}`)),
          );
        }
        assertStringIncludes(
          (await first.rows("SELECT cmdline FROM retrovisor.runs WHERE run = 'boot-0000'"))[0][0],
          HOSTILE,
        );
      });

      await t.step("loading again changes nothing, and finishes a load that was cut", async () => {
        const before = await first.rows("SELECT count(), sum(exits) FROM retrovisor.runs");
        // As if the server had gone between a run's rows and the run itself.
        const server = shardOf("boot-0007", 2) === 0 ? first : second;
        await server.run("ALTER TABLE retrovisor.runs_local DELETE WHERE run = 'boot-0007'");
        while (
          (await server.rows("SELECT count() FROM retrovisor.runs_local WHERE run = 'boot-0007'"))[0][0] !==
            "0"
        ) {
          await new Promise((r) => setTimeout(r, 50));
        }
        for (let i = 0; i < 2; i++) {
          assertEquals(await main(["load", `${folder}/runs`, "--to", "clickhouse", ...urls]), 0);
          assertEquals(await first.rows("SELECT count(), sum(exits) FROM retrovisor.runs"), before);
          assertEquals(await first.rows("SELECT count() FROM retrovisor.exits"), [[before[0][1]]]);
        }
      });

      await t.step(
        "a server that was killed is an error with its address, never a smaller answer",
        async () => {
          await servers[1].kill();
          for (const name of ["exit_summary", "run_exits", "irq_latency", "hypercall_mix"]) {
            const error = await assertRejects(
              () => first.rows(`SELECT * FROM retrovisor.${name}`),
              ClickHouseError,
            );
            assert(/All connection tries failed|Connection refused/.test(error.message), error.message);
          }
          // Only who asks for less gets less.
          assert(
            (await first.rows("SELECT * FROM retrovisor.exit_summary SETTINGS skip_unavailable_shards = 1"))
              .length > 0,
          );
          assertEquals(await main(["load", `${folder}/runs`, "--to", "clickhouse", ...urls]), 1);
        },
      );
    } finally {
      for (const s of servers) await s.kill();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
