import { HostExec, type TestCase, WINDOW } from "./protocol.ts";
import { decodeOne, disassemble } from "./disasm.ts";
const h = new HostExec();
const fx = new Uint8Array(512);
fx[0] = 0x7f;
fx[1] = 3;
new DataView(fx.buffer).setUint32(24, 0x1f80, true);
// args: "mode flags code | reg=val ..."
const names = [
  "rax",
  "rcx",
  "rdx",
  "rbx",
  "rsp",
  "rbp",
  "rsi",
  "rdi",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
];
const cs: TestCase[] = Deno.args.map((a) => {
  const [l, r = ""] = a.split("|");
  const [mode, fl, ...code] = l.trim().split(/\s+/);
  const gpr = new BigUint64Array(16);
  gpr[4] = BigInt(WINDOW + 0x800);
  for (const x of r.trim().split(/\s+/).filter((x) => x)) {
    const [n, v] = x.split("=");
    gpr[names.indexOf(n)] = BigInt("0x" + v);
  }
  return {
    mode: Number(mode) as 64 | 32,
    code: new Uint8Array(code.map((x) => parseInt(x, 16))),
    codeOffset: 0x800,
    seed: 1,
    rflags: parseInt(fl, 16),
    gpr,
    fx,
    patches: [],
  };
});
(await h.run(cs)).forEach((r, i) => {
  const g: string[] = [];
  r.gpr.forEach((v, k) => {
    if (v !== cs[i].gpr[k]) g.push(names[k] + "=" + v.toString(16));
  });
  console.log(
    disassemble(cs[i].code, cs[i].mode, 0n).map((x) => x.slice(35).trim()).join("; "),
    "=> v",
    r.vector,
    "e",
    r.errorCode.toString(16),
    "cr2",
    r.vector === 14 ? r.faultAddress.toString(16) : "",
    "rip+",
    Number(r.rip) - 0x10000800,
    "fl",
    r.rflags.toString(16),
    g.join(" "),
    [...r.changes].map(([o, v]) => o.toString(16) + "=" + v.toString(16)).join(" "),
  );
});
await h.close();
