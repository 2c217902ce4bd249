/**
 * ClickHouse servers on the loopback address, for tests: Debian's `clickhouse-server`, with little memory and a folder of
 * its own each, together one cluster called `retrovisor`.
 *
 * @module
 */

/** Milliseconds until a server must answer. */
const START_MS = 60_000;

/** Ports that nobody listened on a moment ago. */
function freePorts(n: number): number[] {
  const listeners = Array.from({ length: n }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map((l) => l.addr.port);
  for (const l of listeners) l.close();
  return ports;
}

function configuration(folder: string, http: number, tcp: number, cluster: readonly number[]): string {
  const shards = cluster.map((port) =>
    `<shard><replica><host>127.0.0.1</host><port>${port}</port></replica></shard>`
  );
  return `<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <http_port>${http}</http_port>
  <tcp_port>${tcp}</tcp_port>
  <listen_host>127.0.0.1</listen_host>
  <path>${folder}/data/</path>
  <tmp_path>${folder}/tmp/</tmp_path>
  <users_config>${folder}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <mark_cache_size>33554432</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <remote_servers><retrovisor>${shards.join("")}</retrovisor></remote_servers>
</yandex>`;
}

const USERS = `<yandex>
  <profiles><default>
    <max_memory_usage>1000000000</max_memory_usage>
    <max_threads>1</max_threads>
    <skip_unavailable_shards>0</skip_unavailable_shards>
    <connect_timeout_with_failover_ms>10000</connect_timeout_with_failover_ms>
  </default></profiles>
  <users><default>
    <password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
  </default></users>
  <quotas><default></default></quotas>
</yandex>`;

/** A server that runs. */
export class Server {
  constructor(readonly url: string, readonly process: Deno.ChildProcess) {}

  /** Ends it at once, as a machine that fails does. */
  async kill(): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.process.status;
  }
}

/** Starts servers and waits until they answer. @param folder for everything they write */
export async function startServers(folder: string, n: number): Promise<Server[]> {
  const ports = freePorts(2 * n), tcp = ports.slice(n);
  const servers: Server[] = [];
  for (let i = 0; i < n; i++) {
    const own = `${folder}/server${i}`;
    for (const f of ["data", "tmp"]) await Deno.mkdir(`${own}/${f}`, { recursive: true });
    await Deno.writeTextFile(`${own}/config.xml`, configuration(own, ports[i], tcp[i], tcp));
    await Deno.writeTextFile(`${own}/users.xml`, USERS);
    const log = `${own}/log`;
    // Its log goes to a file: nobody reads a pipe here.
    const process = new Deno.Command("sh", {
      args: ["-c", `exec clickhouse-server --config-file="$1" >"$2" 2>&1`, "sh", `${own}/config.xml`, log],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    servers.push(new Server(`http://127.0.0.1:${ports[i]}`, process));
  }
  for (const [i, server] of servers.entries()) {
    const end = Date.now() + START_MS;
    for (;;) {
      try {
        if ((await (await fetch(server.url)).text()).startsWith("Ok")) break;
      } catch {
        // Not yet.
      }
      if (Date.now() > end) {
        throw new Error(`${server.url}: ${await Deno.readTextFile(`${folder}/server${i}/log`)}`);
      }
      await new Promise((r) => setTimeout(r, 100));
    }
  }
  return servers;
}
