/**
 * Headless Chromium over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/), for the tests of the
 * viewer.
 *
 * @module
 */

/** Where Debian has it. */
export const CHROMIUM = "/usr/bin/chromium";
/** Milliseconds after which waiting for the browser fails. */
const PATIENCE_MS = 60_000;

type Params = Record<string, unknown>;

/** One open page. */
export interface Page {
  /** Everything that went wrong on the page: errors on its console, exceptions, refused loads. */
  readonly errors: string[];
  /** Addresses that the page asked for, other than its own file and what is inside it. */
  readonly requests: string[];
  /** Goes to an address and waits for its document. */
  go(url: string): Promise<void>;
  /** Value of an expression, awaited. @throws Error with what the page threw */
  evaluate<T>(expression: string): Promise<T>;
  /** Waits until an expression is true. @returns milliseconds waited */
  until(expression: string, patienceMs?: number): Promise<number>;
  /** Drags with the left button between two places in an element, given as shares of its width, half way down. */
  drag(selector: string, from: number, to: number): Promise<void>;
  /** Presses a key. */
  key(key: string, modifiers?: number): Promise<void>;
  /** PNG of the whole page. */
  screenshot(): Promise<Uint8Array>;
  /** Emulates colour scheme and size. */
  look(scheme: "light" | "dark", width: number, height: number): Promise<void>;
  /** Bytes of JavaScript's heap, after collecting garbage. */
  heapBytes(): Promise<number>;
  /** Seconds of processor time that the page's main thread has used. */
  cpuSeconds(): Promise<number>;
}

/** Runs Chromium with one empty page. */
export async function withBrowser(use: (page: Page) => Promise<void>): Promise<void> {
  const profile = await Deno.makeTempDir({ prefix: "retrovisor-chromium-" });
  const child = new Deno.Command(CHROMIUM, {
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--disable-dev-shm-usage",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      "about:blank",
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  try {
    const { endpoint, drained } = await endpointOf(child.stderr);
    const connection = await Connection.open(endpoint);
    try {
      await use(await openPage(connection));
    } finally {
      await connection.close();
    }
    void drained;
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await child.status;
    // Helper processes may still be writing.
    for (let i = 0; i < 20; i++) {
      try {
        await Deno.remove(profile, { recursive: true });
        break;
      } catch {
        await delay(100);
      }
    }
  }
}

/** The address that Chromium prints when it is ready; the rest of its errors is read and dropped. */
async function endpointOf(stderr: ReadableStream<Uint8Array>) {
  const reader = stderr.getReader(), decoder = new TextDecoder();
  let text = "", endpoint: string | undefined;
  while (endpoint === undefined) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`Chromium did not start: ${text}`);
    text += decoder.decode(value, { stream: true });
    endpoint = /DevTools listening on (ws:\S+)/.exec(text)?.[1];
  }
  const drained = (async () => {
    while (!(await reader.read()).done);
  })();
  return { endpoint, drained };
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The protocol: numbered calls, and events by session. */
class Connection {
  #next = 1;
  readonly #waiting = new Map<number, { resolve(v: Params): void; reject(e: Error): void }>();
  readonly listeners = new Map<string, ((params: Params) => void)[]>();
  #closed: () => void = () => {};

  private constructor(readonly socket: WebSocket) {
    socket.onmessage = (e) => this.#message(JSON.parse(e.data));
    socket.onclose = () => {
      for (const w of this.#waiting.values()) w.reject(new Error("The browser has gone."));
      this.#closed();
    };
  }

  static open(url: string): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url);
      socket.onopen = () => resolve(new Connection(socket));
      socket.onerror = () => reject(new Error("Cannot talk to Chromium."));
    });
  }

  call(method: string, params: Params = {}, sessionId?: string): Promise<Params> {
    const id = this.#next++;
    const timer = setTimeout(() => {
      this.#waiting.get(id)?.reject(new Error(`Chromium does not answer ${method}.`));
      this.#waiting.delete(id);
    }, PATIENCE_MS);
    return new Promise<Params>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    }).finally(() => clearTimeout(timer));
  }

  on(method: string, listener: (params: Params) => void): void {
    this.listeners.set(method, [...this.listeners.get(method) ?? [], listener]);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#closed = resolve);
    void this.call("Browser.close").catch(() => {});
    await Promise.race([closed, delay(3000)]);
    this.socket.close();
  }

  #message(
    m: { id?: number; method?: string; params?: Params; result?: Params; error?: { message: string } },
  ) {
    if (m.id === undefined) {
      for (const listener of this.listeners.get(m.method ?? "") ?? []) listener(m.params ?? {});
      return;
    }
    const waiting = this.#waiting.get(m.id);
    this.#waiting.delete(m.id);
    if (m.error) waiting?.reject(new Error(m.error.message));
    else waiting?.resolve(m.result ?? {});
  }
}

interface RemoteObject {
  value?: unknown;
  description?: string;
}

async function openPage(c: Connection): Promise<Page> {
  const { targetId } = await c.call("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await c.call("Target.attachToTarget", { targetId, flatten: true }) as {
    sessionId: string;
  };
  const call = (method: string, params: Params = {}) => c.call(method, params, sessionId);
  const errors: string[] = [], requests: string[] = [];
  c.on("Runtime.exceptionThrown", (p) => {
    const d = p.exceptionDetails as { text: string; exception?: RemoteObject };
    errors.push(`${d.text} ${d.exception?.description ?? ""}`);
  });
  c.on("Runtime.consoleAPICalled", (p) => {
    if (p.type !== "error" && p.type !== "warning") return;
    errors.push(`${p.type}: ${(p.args as RemoteObject[]).map((a) => a.value ?? a.description).join(" ")}`);
  });
  c.on("Log.entryAdded", (p) => {
    const entry = p.entry as { level: string; text: string; url?: string };
    if (entry.level === "error") errors.push(`${entry.text} ${entry.url ?? ""}`);
  });
  c.on("Network.requestWillBeSent", (p) => {
    const { url } = p.request as { url: string };
    if (!/^(file|data|blob|about):/.test(url)) requests.push(url);
  });
  let loaded = () => {};
  c.on("Page.loadEventFired", () => loaded());
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await call(`${domain}.enable`);
  await call("Performance.enable", { timeDomain: "threadTicks" });

  const evaluate = async <T>(expression: string): Promise<T> => {
    const answer = await call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    const thrown = answer.exceptionDetails as { text: string; exception?: RemoteObject } | undefined;
    if (thrown) throw new Error(`${thrown.text} ${thrown.exception?.description ?? ""} in ${expression}`);
    return (answer.result as RemoteObject).value as T;
  };
  return {
    errors,
    requests,
    evaluate,
    async go(url) {
      const done = new Promise<void>((resolve) => loaded = resolve);
      const answer = await call("Page.navigate", { url });
      if (answer.errorText) throw new Error(`Cannot open ${url}: ${answer.errorText}`);
      await done;
    },
    async until(expression, patienceMs = PATIENCE_MS) {
      const from = performance.now();
      while (!await evaluate<boolean>(`Boolean(${expression})`)) {
        if (performance.now() - from > patienceMs) throw new Error(`Waited in vain for ${expression}`);
        await delay(20);
      }
      return performance.now() - from;
    },
    async drag(selector, from, to) {
      const box = await evaluate<{ x: number; y: number; width: number; height: number }>(
        `(() => { const e = document.querySelector(${
          JSON.stringify(selector)
        }); e.scrollIntoView({ block: "center" });
          const r = e.getBoundingClientRect(); return { x: r.x, y: r.y, width: r.width, height: r.height }; })()`,
      );
      const y = box.y + box.height / 2, at = (share: number) => box.x + box.width * share;
      const mouse = (type: string, x: number, buttons: number) =>
        call("Input.dispatchMouseEvent", { type, x, y, button: "left", buttons, clickCount: 1 });
      await mouse("mouseMoved", at(from), 0);
      await mouse("mousePressed", at(from), 1);
      for (let k = 1; k <= 4; k++) await mouse("mouseMoved", at(from + (to - from) * k / 4), 1);
      await mouse("mouseReleased", at(to), 0);
    },
    async key(key, modifiers = 0) {
      const text = key.length === 1 && modifiers === 0 ? { text: key } : {};
      await call("Input.dispatchKeyEvent", { type: "keyDown", key, modifiers, ...text });
      await call("Input.dispatchKeyEvent", { type: "keyUp", key, modifiers });
    },
    async screenshot() {
      const { cssContentSize } = await call("Page.getLayoutMetrics") as { cssContentSize: Params };
      const clip = { ...cssContentSize, scale: 1 };
      const { data } = await call("Page.captureScreenshot", {
        format: "png",
        captureBeyondViewport: true,
        clip,
      });
      return Uint8Array.fromBase64(data as string);
    },
    async look(scheme, width, height) {
      await call("Emulation.setEmulatedMedia", {
        features: [{ name: "prefers-color-scheme", value: scheme }],
      });
      await call("Emulation.setDeviceMetricsOverride", {
        width,
        height,
        deviceScaleFactor: 1,
        mobile: false,
      });
    },
    async cpuSeconds() {
      const { metrics } = await call("Performance.getMetrics") as {
        metrics: { name: string; value: number }[];
      };
      return metrics.find((m) => m.name === "TaskDuration")?.value ?? NaN;
    },
    async heapBytes() {
      await call("HeapProfiler.collectGarbage");
      return (await call("Runtime.getHeapUsage")).usedSize as number;
    },
  };
}
