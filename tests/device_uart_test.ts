import { assert, assertEquals } from "@std/assert";
import { Uart, UART_QUEUE_BYTES } from "../core/devices/uart.ts";
import { FakeHost } from "./device_fake_host.ts";

const COM1 = 0x3f8;
/** A character of 10 bits at 115200 baud, in ns. */
const CHARACTER = Math.round(10 * 1e9 / 115200);

interface Setup {
  host: FakeHost;
  uart: Uart;
}

/** A port at 115200 8N1, FIFOs on with the given trigger bits, OUT2 on. */
function port(fcr = 0x01, ier = 0): Setup {
  const host = new FakeHost(), uart = new Uart(host);
  host.out(COM1 + 3, 0x83);
  host.out(COM1, 1);
  host.out(COM1 + 1, 0);
  host.out(COM1 + 3, 0x03);
  host.out(COM1 + 2, fcr);
  host.out(COM1 + 4, 0x0b);
  host.out(COM1 + 1, ier);
  return { host, uart };
}
const bytes = (s: string) => new TextEncoder().encode(s);
const iir = (host: FakeHost) => host.in(COM1 + 2);
const lsr = (host: FakeHost) => host.in(COM1 + 5);
const wait = (host: FakeHost, characters: number) => host.runTo(host.clock.now() + characters * CHARACTER);

Deno.test("UART is recognised as a 16550A: scratch, IER mask, loopback modem lines, FIFO bits", () => {
  const { host } = port(0);
  host.out(COM1 + 7, 0x5a);
  assertEquals(host.in(COM1 + 7), 0x5a);
  host.out(COM1 + 1, 0xff);
  assertEquals(host.in(COM1 + 1), 0x0f);
  host.out(COM1 + 1, 0);
  assertEquals(host.in(COM1 + 6) & 0xf0, 0xb0, "DCD, DSR, CTS");
  host.out(COM1 + 4, 0x1a); // loopback, OUT2, RTS
  assertEquals(host.in(COM1 + 6) & 0xf0, 0x90);
  host.out(COM1 + 4, 0x15); // loopback, OUT1, DTR
  assertEquals(host.in(COM1 + 6) & 0xf0, 0x60);
  assertEquals(iir(host), 0x01);
  host.out(COM1 + 2, 0x01);
  assertEquals(iir(host), 0xc1);
});

Deno.test("UART keeps the divisor behind DLAB", () => {
  const { host } = port();
  host.out(COM1 + 3, 0x83);
  host.out(COM1, 0x80);
  host.out(COM1 + 1, 0x01);
  assertEquals([host.in(COM1), host.in(COM1 + 1)], [0x80, 0x01]);
  host.out(COM1 + 3, 0x03);
  assertEquals([host.in(COM1), host.in(COM1 + 1)], [0, 0]);
});

Deno.test("UART hands output on by lines, by 256 bytes, and when flushed", () => {
  const { host, uart } = port();
  const send = (s: string) => bytes(s).forEach((b) => host.out(COM1, b));
  assertEquals(lsr(host), 0x60);
  send("hello\r\nlog");
  assertEquals(host.output, [{ device: "uart0", text: "hello\r\n" }]);
  assertEquals(lsr(host), 0x60, "transmission takes no time");
  uart.flush();
  uart.flush();
  assertEquals(host.output[1], { device: "uart0", text: "log" });
  send("x".repeat(300));
  assertEquals(host.output[2].text.length, 256);
});

Deno.test("UART raises THRE when enabled with an empty register, after each byte, and until IIR is read", () => {
  const { host } = port();
  host.out(COM1 + 1, 2);
  assertEquals(host.rises[4], 1);
  assertEquals(iir(host) & 15, 2);
  assert(!host.lines[4]);
  assertEquals(iir(host) & 15, 1, "reading IIR takes the request back");
  host.out(COM1, 65);
  assertEquals(host.rises[4], 2);
  host.out(COM1, 66);
  assertEquals(host.rises[4], 3, "each byte is an edge for the 8259");
  host.out(COM1 + 1, 0);
  assert(!host.lines[4]);
  host.out(COM1 + 1, 2);
  assert(host.lines[4]);
});

Deno.test("UART interrupts only through OUT2, and not in loopback mode", () => {
  const { host } = port(1, 2);
  assert(host.lines[4]);
  host.out(COM1 + 4, 0x03);
  assert(!host.lines[4]);
  host.out(COM1 + 4, 0x1b);
  assert(!host.lines[4]);
  host.out(COM1 + 4, 0x0b);
  assert(host.lines[4]);
});

Deno.test("UART receives one byte per character time without a FIFO", () => {
  const { host, uart } = port(0, 1);
  uart.receive(bytes("ab"));
  wait(host, 0.99);
  assertEquals(lsr(host) & 1, 0);
  wait(host, 0.02);
  assertEquals([lsr(host) & 1, iir(host), host.lines[4]], [1, 4, true]);
  wait(host, 10);
  assertEquals(lsr(host) & 2, 0, "input waits for the guest: no overrun");
  assertEquals(host.in(COM1), 97);
  assert(!host.lines[4]);
  wait(host, 1.01);
  assertEquals([host.rises[4], host.in(COM1), lsr(host) & 1], [2, 98, 0]);
});

Deno.test("UART FIFO interrupts at the trigger level and after four idle character times", () => {
  for (const [bits, level] of [[0x00, 1], [0x40, 4], [0x80, 8], [0xc0, 14]]) {
    const { host, uart } = port(0x01 | bits, 1);
    uart.receive(bytes("0123456789abcdef"));
    wait(host, level - 0.5);
    assertEquals(iir(host) & 15, 1);
    wait(host, 1);
    assertEquals(iir(host) & 15, 4, `trigger ${level}`);
    for (let i = 0; i < level; i++) host.in(COM1);
    assertEquals(lsr(host) & 1, 0);
  }
  const { host, uart } = port(0xc1, 1);
  uart.receive(bytes("xy"));
  wait(host, 5.9);
  assertEquals(iir(host) & 15, 1);
  wait(host, 0.2);
  assertEquals([iir(host) & 15, host.lines[4]], [12, true]);
  host.in(COM1);
  assertEquals(iir(host) & 15, 1, "a read restarts the timeout");
  wait(host, 4.1);
  assertEquals(iir(host) & 15, 12);
  host.in(COM1);
  wait(host, 10);
  assertEquals(iir(host) & 15, 1);
});

Deno.test("UART FIFO reset drops what it holds; the queue behind it goes on", () => {
  const { host, uart } = port(1, 0);
  uart.receive(bytes("0123456789abcdefXY"));
  wait(host, 30);
  host.out(COM1 + 2, 0x03);
  assertEquals(lsr(host) & 1, 0);
  wait(host, 2.1);
  assertEquals([host.in(COM1), host.in(COM1)], [88, 89]);
});

Deno.test("UART bounds its queue and says how much it took", () => {
  const { uart } = port();
  assertEquals(uart.receive(new Uint8Array(UART_QUEUE_BYTES - 1)), UART_QUEUE_BYTES - 1);
  assertEquals(uart.receive(new Uint8Array(100)), 1);
  assertEquals(uart.receive(new Uint8Array(1)), 0);
});

Deno.test("UART loopback returns bytes, overruns, breaks and modem changes", () => {
  const { host } = port(0);
  host.out(COM1 + 4, 0x10);
  host.in(COM1 + 6);
  host.out(COM1, 0x41);
  assertEquals(host.in(COM1), 0x41);
  host.out(COM1, 0x42);
  host.out(COM1, 0x43);
  assertEquals(lsr(host), 0x63, "overrun");
  assertEquals(lsr(host), 0x61, "reading LSR clears it");
  assertEquals(host.in(COM1), 0x43, "the newer byte");
  host.out(COM1 + 4, 0x12);
  assertEquals(host.in(COM1 + 6), 0x11, "CTS, and that it changed");
  assertEquals(host.in(COM1 + 6), 0x10);
  host.out(COM1 + 3, 0x43);
  assertEquals(lsr(host) & 0x11, 0x11);
  assertEquals(host.in(COM1), 0);
  assertEquals(host.output, []);
});

Deno.test("UART interrupt priority: line status, data, transmitter, modem", () => {
  const { host } = port(0);
  host.out(COM1 + 4, 0x10);
  host.in(COM1 + 6);
  host.out(COM1 + 1, 15);
  host.out(COM1, 1);
  host.out(COM1, 2);
  host.out(COM1 + 4, 0x12);
  assertEquals(iir(host), 6);
  lsr(host);
  assertEquals(iir(host), 4);
  host.in(COM1);
  assertEquals(iir(host), 2);
  assertEquals(iir(host), 0);
  host.in(COM1 + 6);
  assertEquals(iir(host), 1);
});

Deno.test("UART carries on from a checkpoint in the middle of input and output", () => {
  const run = ({ host }: Setup) => {
    const got: number[] = [];
    for (let i = 0; i < 40; i++) {
      wait(host, 1);
      if (lsr(host) & 1) got.push(host.in(COM1));
    }
    host.out(COM1, 10);
    return [got, host.output.at(-1), host.save()];
  };
  const a = port(0x81, 3);
  a.uart.receive(bytes("the quick brown fox"));
  bytes("half a line").forEach((b) => a.host.out(COM1, b));
  wait(a.host, 5.5);
  const b: Setup = { host: new FakeHost(), uart: null! };
  b.uart = new Uart(b.host);
  b.host.restore(a.host.save());
  assertEquals(b.host.save(), a.host.save());
  b.host.lines[4] = a.host.lines[4];
  assertEquals(run(b), run(a));
});

Deno.test("UART character time follows data bits, parity, stop bits and divisor", () => {
  // [line control, divisor, bits per character]
  for (const [lcr, divisor, bits] of [[0x03, 1, 10], [0x00, 1, 7], [0x1e, 12, 11], [0x0b, 3, 11]]) {
    const { host, uart } = port(0);
    host.out(COM1 + 3, 0x80 | lcr);
    host.out(COM1, divisor);
    host.out(COM1 + 3, lcr);
    uart.receive(bytes("x"));
    const time = bits * divisor * 1e9 / 115200;
    host.runTo(Math.floor(time) - 1);
    assertEquals(lsr(host) & 1, 0);
    host.runTo(Math.ceil(time) + 1);
    assertEquals(lsr(host) & 1, 1, `line control ${lcr}, divisor ${divisor}`);
  }
});

Deno.test("UART clears the receiver when FIFO mode changes, not when it is set again", () => {
  const { host, uart } = port(1);
  uart.receive(bytes("ab"));
  wait(host, 3);
  host.out(COM1 + 2, 0x81);
  assertEquals(lsr(host) & 1, 1);
  host.out(COM1 + 2, 0);
  assertEquals(lsr(host) & 1, 0);
});
