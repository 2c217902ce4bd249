import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { guestPath } from "./manifest.ts";
import { recorded } from "./recording.ts";

const seabios = guestPath("seabios"), grub = guestPath("grub-pvh"), linux = guestPath("linux-cloud");

Deno.test({
  name: "SeaBIOS finds no bootable device, recorded and replayed",
  ignore: seabios === null,
  fn: () =>
    recorded([`bios=${seabios}`, "memory=16", "--max-instructions", "20M"], "", async (r) => {
      assertStringIncludes(r.console, "SeaBIOS (version");
      assertStringIncludes(r.console, "No bootable device.");
      assert(!r.console.includes("fatal"), r.console);
      const [ports] = await r.query("SELECT count(*)::INTEGER AS n FROM kvm_pio WHERE port = 1026");
      assert(Number(ports.n) > 1000, "its debug port is used");
    }),
});

Deno.test({
  name: "GRUB reaches its prompt and obeys typed commands, recorded and replayed",
  ignore: grub === null,
  fn: () => {
    const script = [
      'wait "grub> "',
      'send "set greeting=hello\\r"',
      'wait "grub> "',
      'send "echo $greeting world\\r"',
      'wait "hello world"',
      'wait "grub> "',
      'send "halt\\r"',
    ].join("\n");
    return recorded([`kernel=${grub}`, "memory=128", "--max-instructions", "300M"], script, async (r) => {
      assertStringIncludes(r.console, "GNU GRUB");
      assertStringIncludes(r.console, "hello world");
      assertEquals(r.code, 0, "halt powers the domain off");
      assertStringIncludes(r.facts.outcome, "poweroff");
      const inputs = await r.query("SELECT kind, count(*)::INTEGER AS n FROM inputs GROUP BY kind");
      assert(
        inputs.some((i) => i.kind === "console" && Number(i.n) >= 3),
        "what was typed is recorded input",
      );
      // What GRUB asks of Xen before its prompt, as seen on real Xen: one hypercall page, four parameters.
      const [msr] = await r.query(
        "SELECT count(*)::INTEGER AS n FROM kvm_msr WHERE write AND ecx = 1073741824",
      );
      assertEquals(msr.n, 1);
      const [params] = await r.query(
        "SELECT count(*)::INTEGER AS n FROM hypercalls WHERE name = 'hvm_op' AND subop_name = 'get_param'",
      );
      assertEquals(params.n, 4);
    });
  },
});

Deno.test({
  name: "Linux prints its banner and early boot log as a Xen PVH guest, recorded and replayed",
  ignore: linux === null,
  fn: () => {
    const cmdline = "cmdline=console=hvc0 earlyprintk=xen nokaslr";
    return recorded(
      [`kernel=${linux}`, cmdline, "memory=256", "--max-instructions", "120M"],
      "",
      async (r) => {
        assertStringIncludes(r.console, "Linux version 6.");
        assertStringIncludes(r.console, "Hypervisor detected: Xen HVM");
        assertStringIncludes(r.console, "Command line: console=hvc0 earlyprintk=xen nokaslr");
        assert(!/Kernel panic|BUG:|Oops/.test(r.console), r.console);
        const [version] = await r.query(
          "SELECT count(*)::INTEGER AS n FROM hypercalls WHERE name = 'xen_version'",
        );
        assert(Number(version.n) >= 1);
      },
    );
  },
});
