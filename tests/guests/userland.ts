/**
 * A script of everyday programs that prints the same wherever the same busybox runs it: nothing in it asks for the
 * time, a process number, the kernel or the machine.
 *
 * @module
 */

/** Printed before and after what is compared. */
export const BEGIN = "=== userland begins", END = "=== userland ends";

/** Number of processes that the script forks in its loops, besides those of its pipelines. */
export const FORKS = 3000;

/**
 * The script; it works in the current folder, which is empty at first.
 * awk's numbers are doubles, printed to the last digit; Debian's has no functions of them, so the script brings some.
 */
export const USERLAND = `
echo "${BEGIN}"
export LC_ALL=C
step() { echo "--- $1"; }

step data
seq 1 20000 > numbers
awk 'BEGIN { x = 12345; for (i = 0; i < 4000; i++) { x = (x * 1103515245 + 12345) % 2147483648; print x, x % 97 } }' > random
yes 'the quick brown fox jumps over the lazy dog' | head -n 3000 > text
dd if=/dev/zero of=zeros bs=4096 count=100 2>/dev/null
wc numbers random text zeros

step checksums
for f in numbers random text zeros; do
  md5sum $f; sha1sum $f; sha256sum $f; sha512sum $f; sha3sum $f; cksum $f 2>/dev/null; sum $f; crc32 $f
done

step compression
for f in numbers random text zeros; do
  gzip -c $f > $f.gz; md5sum $f.gz; gunzip -c $f.gz | cmp - $f && echo "$f gzip same"
  bzip2 -c $f > $f.bz2; md5sum $f.bz2; bunzip2 -c $f.bz2 | cmp - $f && echo "$f bzip2 same"
done
tar cf - numbers random text | gzip -c | gunzip -c | tar tf -

step sort
sort -n random | md5sum
sort -r -k2,2n -k1,1 random | md5sum
sort -u text | head -n 3
cut -d' ' -f2 random | sort -n | uniq -c | sort -rn -k1,1 -k2,2 | head -n 5

step awk
cat > math.awk << 'SCRIPT'
function root(x,  r, i) { r = x > 1 ? x : 1; for (i = 0; i < 60; i++) r = (r + x / r) / 2; return r }
function sine(x,  t, s, i) { t = x; s = x; for (i = 1; i < 30; i++) { t = -t * x * x / ((2 * i) * (2 * i + 1)); s += t } return s }
function expo(x,  t, s, i) { t = 1; s = 1; for (i = 1; i < 120; i++) { t = t * x / i; s += t } return s }
function power(x, n,  r) { r = 1; for (; n > 0; n--) r *= x; return n < 0 ? 1 / r : r }
BEGIN {
  for (i = 1; i <= 120; i++) {
    x = i * 0.37 - 21
    printf "%.17g %.17g %.17g %.17g %e %g\\n", x, sine(x), expo(x), root(i / 7), x * x * x, 1 / x
  }
  for (i = 1; i < 20000; i++) s += 1 / i / i
  printf "%.17g %.17g %.3f %10.4e|%-12g|%+d\\n", s, root(6 * s), s, s, s, s
  big = power(10, 308); tiny = 1 / power(10, 300) / 1e20
  print big * 10, -big * 10, tiny, tiny * 0.0001, 1 / 3, 1e15 / 7, int(-3.7), 0.1 + 0.2, 100000 * 100000
  printf "%.17g %.17g %.17g %.0f %.20g %d\\n", tiny, big * 1.7976, -0.0 * 1, 2.5, 0.1, 2147483647 * 4
  for (x = 1.2345678901234567, i = 0; i < 308; i += 7) { printf "%.15g %.17g ", x, 1 / x; x *= 1e7 }
  print ""
  print 7 % 3, -7 % 3, 7.5 % 2, 1e20 % 7, (0.1 + 0.2 == 0.3), (1 < 1.0000000000000002), "10" < "9", 10 < 9
}
SCRIPT
awk -f math.awk
awk '{ s += $1; q += $1 * $1 } END { m = s / NR; printf "%.17g %.17g %.17g\\n", s, m, q / NR - m * m }' random
awk '{ n[$2]++ } END { for (k = 0; k < 97; k += 12) print k, n[k] }' random

step bc
echo 'scale=60; 4*a(1); e(1); l(2); s(1); c(1); sqrt(2)' | bc -l
echo '2^521-1; 3^200 % 1000007; 123456789012345678901234567890 / 987654321' | bc
echo 'define f(n) { if (n < 2) return (1); return (n * f(n - 1)); } f(60)' | bc
dc -e '40 k 2 v p 3 v p + p 2 64 ^ p 10 3 ~ f'

step text
sed -n -e '/00$/p' numbers | tr '\\n' ' '; echo
sed -e 's/quick \\(brown\\) fox/\\1 \\1/g' -e 'y/aeiou/AEIOU/' text | head -n 2
tr 'a-y' 'b-z' < text | head -n 1
grep -c fox text; grep -n '77$' numbers | head -n 3
rev text | head -n 1; tac numbers | head -n 2; fold -w 13 text | head -n 4; expand -t 4 text | wc -c
od -A d -t x1 random | tail -n 3; hexdump -C text | head -n 2; xxd text | head -n 2; base64 random | md5sum
printf '%08.3f %x %o %c %s\\n' 3.14159 255 8 A end
expr 17 '*' 23 + 4; factor 1000000007 9999999999 600851475143; cal 2 2000
diff numbers text | head -n 3; paste numbers random 2>/dev/null | head -n 2; comm 2>/dev/null; nl text | head -n 2

step files
mkdir -p tree/a/b/c tree/d
for i in 1 2 3 4 5; do cp numbers tree/a/n$i; echo $i > tree/a/b/c/f$i; ln -s ../a tree/d/l$i; done
find tree | sort
find tree -type f -name 'f*' -exec cat {} \\; | sort
find tree -type l | xargs -n 1 readlink | sort -u
chmod 640 tree/a/n1; stat -c '%a %s %F %n' tree/a/n1; du -a tree/d 2>/dev/null | wc -l; rm -r tree; ls -1

step forks
i=0; while [ $i -lt ${FORKS - 1000} ]; do ( : ); i=$((i + 1)); done; echo $i
i=0; while [ $i -lt 700 ]; do /bin/true 2>/dev/null; i=$((i + 1)); done; echo $i
n=0; for i in $(seq 1 300); do n=$((n + $(echo $i | tr 1-9 2-91))); done; echo $n
seq 1 50 | xargs -n 1 expr 1 + | md5sum
( for i in 1 2 3 4 5 6 7 8; do ( seq 1 500 | md5sum ) & done; wait )
sh -c 'kill -TERM $$'; echo "signal $?"; sh -c 'trap "echo caught" USR1; kill -USR1 $$'; (exit 37); echo $?
echo "${END}"
`;

/** What a run printed between the marks, lines ending in "\n"; null when a mark is missing. */
export function userlandOutput(console: string): string | null {
  const text = console.replaceAll("\r\n", "\n");
  // The line that starts a mark, not the mark in a script that is shown.
  const begin = text.indexOf(`${BEGIN}\n`), end = text.indexOf(`${END}\n`);
  return begin < 0 || end < begin ? null : text.slice(begin + BEGIN.length + 1, end);
}

/**
 * Runs the script on the host with a busybox whose applets are linked in a folder of their own.
 * @returns what it printed between the marks
 */
export async function userlandOnHost(busybox: string): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-userland-" });
  try {
    const bin = `${folder}/bin`, work = `${folder}/work`;
    await Deno.mkdir(bin);
    await Deno.mkdir(work);
    await new Deno.Command(busybox, { args: ["--install", "-s", bin] }).output();
    const { stdout, stderr } = await new Deno.Command(busybox, {
      args: ["sh", "-c", USERLAND],
      cwd: work,
      env: { PATH: bin, HOME: "/", TERM: "linux" },
      clearEnv: true,
      stdin: "null",
    }).output();
    const output = userlandOutput(new TextDecoder().decode(stdout));
    if (output === null) throw new Error(`busybox on the host: ${new TextDecoder().decode(stderr)}`);
    return output;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
