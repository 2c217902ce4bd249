import { HostExec, type TestCase, WINDOW } from "./protocol.ts";
const h = new HostExec();
const fx = new Uint8Array(512);
fx[0] = 0x7f;
fx[1] = 3;
new DataView(fx.buffer).setUint32(24, 0x1f80, true);
const list = Deno.args;
const cs: TestCase[] = list.map((s) => {
  const gpr = new BigUint64Array(16);
  gpr.fill(BigInt(WINDOW + 0x800));
  return {
    mode: 64,
    code: new Uint8Array(s.split(" ").map((x) => parseInt(x, 16))),
    codeOffset: 0x800,
    seed: 1,
    rflags: 0,
    gpr,
    fx,
    patches: [],
  };
});
(await h.run(cs)).forEach((r, i) => console.log(list[i], "vector", r.vector, "rip", r.rip.toString(16)));
await h.close();
