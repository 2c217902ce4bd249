; Page permissions with PAE paging: every combination of present, writable, user and execute-disable in both levels, of 4 KiB
; and 2 MiB pages and of reserved bits, with CR0.WP, CR4.SMEP, CR4.SMAP and EFLAGS.AC, for reads, writes and fetches of ring 0
; and ring 3 (Intel SDM volume 3, 4.6 and 4.7). A line for each combination of control bits and directory entry: it has six
; characters for each table entry, "." for an access that is allowed, else the letter of #PF's error code ("a" is 0). Then
; accesses that the processor makes itself, accessed and dirty bits, and 32-bit paging.
%include "frame.inc"

PROBE equ 0x40000000                  ; linear address under test: PDPT entry 1, PD entry 0, PT entry 0
PDPT  equ pages
PD0   equ pages + 0x1000              ; identity, 2 MiB pages
PD1   equ pages + 0x2000
PT    equ pages + 0x3000
PD32  equ pages + 0x4000              ; the same with 32-bit paging
FRAME equ 0x400000                    ; what PROBE maps: 2 MiB-aligned, begins with RET
USER3 equ 0x600000                    ; code of ring 3, one access every 16 bytes; its stack
ENTRIES equ 32

tests:
  mov byte [FRAME], 0xc3
  mov dword [USER3], 0x30cd008a       ; mov al, [eax]; int DONE
  mov dword [USER3 + 16], 0x30cd0088  ; mov [eax], al; int DONE
  mov dword [USER3 + 32], 0x30cdd0ff  ; call eax; int DONE
  mov dword [PDPT], PD0 + 1
  mov dword [PDPT + 8], PD1 + 1
  mov ecx, 512
  xor edi, edi
  mov eax, 0x83
.identity:
  mov [PD0 + edi * 8], eax
  add eax, 0x200000
  inc edi
  loop .identity
  or byte [PD0 + 3 * 8], 4            ; ring 3's
  mov eax, cr4
  or eax, 0x30                        ; PAE, PSE
  mov cr4, eax
  mov ecx, 0xc0000080
  rdmsr
  or eax, 0x800                       ; NXE
  wrmsr
  mov eax, PDPT
  mov cr3, eax
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  mov dword [entry_size], 8

.controls:
  call set_controls
  mov dword [directory], 0
.directories:
  mov dword [table], 0
  call line_name
.tables:
  cmp dword [table], ENTRIES / 2
  jne .same_line
  call newline
  call line_name
.same_line:
  call build
  mov dword [access], 0
.accesses:
  call try
  inc dword [access]
  cmp dword [access], 6
  jb .accesses
  inc dword [table]
  cmp dword [table], ENTRIES
  jb .tables
  call newline
  inc dword [directory]
  cmp dword [directory], ENTRIES
  jb .directories
  inc dword [control]
  cmp dword [control], 16
  jb .controls
  mov dword [control], 1
  call set_controls
  call implicit
  call marks
  mov eax, cr0                        ; 32-bit paging: the same without NX, large pages of 4 MiB
  and eax, 0x7fffffff
  mov cr0, eax
  mov eax, cr4
  and eax, ~0x300020
  mov cr4, eax
  mov dword [entry_size], 4
  mov ecx, 256
  xor edi, edi
  mov eax, 0x83
.identity32:
  mov [PD32 + edi * 4], eax
  add eax, 0x400000
  inc edi
  loop .identity32
  mov dword [PD32 + 4], FRAME + 0x87  ; 4 to 8 MiB: ring 3's, at 6 MiB
  mov eax, PD32
  mov cr3, eax
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  mov dword [control], 0
.controls32:
  call set_controls
  mov dword [directory], 0
.directories32:
  test byte [directory], 8            ; there is no NX
  jnz .next_directory
  mov dword [table], 0
  call line_name
.tables32:
  cmp dword [table], ENTRIES / 2
  jne .same_line32
  call newline
  call line_name
.same_line32:
  test byte [table], 8
  jnz .next_table
  call build32
  mov dword [access], 0
.accesses32:
  call try
  inc dword [access]
  cmp dword [access], 6
  jb .accesses32
.next_table:
  inc dword [table]
  cmp dword [table], ENTRIES
  jb .tables32
  call newline
.next_directory:
  inc dword [directory]
  cmp dword [directory], ENTRIES
  jb .directories32
  inc dword [control]
  cmp dword [control], 16
  jb .controls32
  mov dword [control], 1
  call set_controls
  mov eax, cr0
  and eax, 0x7fffffff
  mov cr0, eax
  ret

newline:
  mov al, 10
  jmp putc

line_name:                            ; "pae control 3 directory 1f: a="
  cmp dword [table], ENTRIES / 2
  jb .valid
  SAY "reserved bit: "
.valid:
  cmp dword [entry_size], 8
  jne .two_level
  SAY "pae"
  jmp .size_said
.two_level:
  SAY "32-bit"
.size_said:
  SAY " control "
  mov eax, [control]
  call hex
  SAY " directory "
  mov eax, [directory]
  call hex
  SAY ": a="
  ret

set_controls:                         ; bit 0: WP, 1: SMEP, 2: SMAP, 3: AC
  mov eax, cr0
  and eax, ~0x10000
  test byte [control], 1
  jz .wp
  or eax, 0x10000
.wp:
  mov cr0, eax
  mov eax, cr4
  and eax, ~0x300000
  mov edx, [control]
  and edx, 6
  shl edx, 19
  or eax, edx
  mov cr4, eax
  mov eax, cr3
  mov cr3, eax
  ret

; Entry bits from a number: 0 present, 1 writable, 2 user, 3 NX, 4: reserved bit (table) or large page (directory).
entry:                                ; EAX number; EDX:EAX low 3 bits and NX
  mov edx, eax
  and eax, 7
  and edx, 8
  shl edx, 28
  ret
build:
  mov eax, [directory]
  call entry
  test byte [directory], 16
  jnz .large
  or eax, PT
  jmp .store
.large:
  or eax, FRAME + 0x80
  test byte [table], 16
  jz .store
  or eax, 0x2000                      ; reserved in a 2 MiB page
.store:
  mov [PD1], eax
  mov [PD1 + 4], edx
  mov eax, [table]
  call entry
  or eax, FRAME
  test byte [table], 16
  jz .plain
  or edx, 0x100000                    ; bit 52: reserved with PAE
.plain:
  mov [PT], eax
  mov [PT + 4], edx
  invlpg [PROBE]
  ret
build32:
  mov eax, [directory]
  and eax, 7
  test byte [directory], 16
  jnz .large
  or eax, PT
  jmp .store
.large:
  or eax, FRAME + 0x80
  test byte [table], 16
  jz .store
  or eax, 0x200000                    ; reserved in a 4 MiB page; a table's entry has none
.store:
  mov [PD32 + 0x400], eax
  mov eax, [table]
  and eax, 7
  or eax, FRAME
  mov [PT], eax
  invlpg [PROBE]
  ret

; One access: 0 to 2 read, write, fetch of ring 0; 3 to 5 of ring 3. Prints its character.
try:
  mov dword [log_count], 0
  mov dword [case_mode], STOP
  mov dword [case_end], .done
  mov [case_esp], esp
  pushfd
  and dword [esp], ~0x40000
  test byte [control], 8
  jz .no_ac
  or dword [esp], 0x40000
.no_ac:
  popfd
  mov eax, [access]
  jmp [.jumps + eax * 4]
.jumps: dd .read, .write, .fetch, .user, .user, .user
.read:
  mov al, [PROBE + 8]
  jmp .done
.write:
  mov [PROBE + 8], al
  jmp .done
.fetch:
  mov eax, PROBE
  call eax
  jmp .done
.user:
  lea ebx, [eax - 3]
  shl ebx, 4
  add ebx, USER3
  mov eax, PROBE
  cmp dword [access], 4
  jne .far
  add eax, 8                          ; the RET stays as it is
.far:
  push dword DATA3                    ; a selector of ring 0 would not survive IRET
  pop ds
  push dword DATA3
  push dword USER3 + 0x10000
  push dword 2
  push dword CODE3
  push ebx
  iretd
.done:
  push dword 2
  popfd
  push dword DATA0
  pop ds
  push dword DATA0
  pop es
  mov al, "."
  cmp dword [log_count], 0
  je putc
  mov al, "#"                         ; not a page fault
  cmp dword [log], 14
  jne putc
  mov al, [log + 4]
  add al, "a"
  jmp putc

; A descriptor in a table that is mapped at PROBE: loaded by the processor as a supervisor, whoever asks.
LDT0 equ SPARE + 8
%macro IMPLICIT 4                     ; name, PT entry's low bits, AC, ring
  mov dword [PD1], PT + 7
  mov dword [PD1 + 4], 0
  mov dword [PT], FRAME + %2
  mov dword [PT + 4], 0
  invlpg [PROBE]
  BEGIN {"implicit: ", %1}, STOP
  RUN
  pushfd
  or dword [esp], %3 << 18
  popfd
%if %4
  USER %%user
  %%user equ USER3 + 48
%else
  mov eax, 4
  mov fs, ax
%endif
  END
%endmacro
implicit:
  ; LDTR stays at PROBE; entry 0 is ring 3's data segment
  mov dword [gdt + LDT0], PROBE << 16 & 0xffffffff | 0xfff
  mov dword [gdt + LDT0 + 4], 0x8200 | PROBE >> 16 & 0xff | PROBE & 0xff000000
  mov ax, LDT0
  lldt ax
  mov dword [FRAME], 0x0000ffff
  mov dword [FRAME + 4], 0x00cff300
  mov dword [USER3 + 48], 0x07b8      ; mov eax, 7; mov fs, ax; int DONE
  mov dword [USER3 + 52], 0xcde08e00
  mov byte [USER3 + 56], DONE
  IMPLICIT "a supervisor page", 3, 0, 0
  IMPLICIT "a supervisor page, ring 3", 3, 0, 1
  IMPLICIT "a user page", 7, 0, 0
  IMPLICIT "a missing page, ring 3", 6, 0, 1
  mov eax, cr4
  or eax, 0x200000
  mov cr4, eax
  IMPLICIT "SMAP, a user page", 7, 0, 0
  IMPLICIT "SMAP, a user page, AC", 7, 1, 0
  IMPLICIT "SMAP, a user page, ring 3", 7, 0, 1
  IMPLICIT "SMAP, a supervisor page", 3, 0, 0
  mov eax, cr4
  and eax, ~0x200000
  mov cr4, eax
  mov dword [gdt + LDT0 + 4], 0x8200 | PROBE >> 16 & 0xff | PROBE & 0xff000000
  mov dword [FRAME + 4], 0x00cff200   ; the segment's accessed bit has to be set: a write
  IMPLICIT "accessed bit, read-only page, WP", 1, 0, 0
  mov dword [control], 0
  call set_controls
  IMPLICIT "accessed bit, read-only page", 1, 0, 0
  mov dword [FRAME], 0xc3
  xor eax, eax
  lldt ax
  ret

%macro MARKS 2+                       ; name, instructions: accessed and dirty bits of both levels behind them
  mov dword [PD1], PT + 7
  mov dword [PD1 + 4], 0
  mov dword [PT], FRAME + 7
  mov dword [PT + 4], 0
  invlpg [PROBE]
  BEGIN %1, STOP
  RUN
  %2
  mov eax, [PD1]
  mov ebx, [PT]
  and eax, 0xfff
  and ebx, 0xfff
  END
%endmacro
marks:
  MARKS "marks: nothing", nop
  MARKS "marks: read", mov al, [PROBE]
  MARKS "marks: write", mov [PROBE + 8], al
  MARKS "marks: read and write", add byte [PROBE + 8], 0
  MARKS "marks: fetch", {call PROBE}
  MARKS "marks: CMPXCHG that fails", {cmpxchg [PROBE + 8], bl}
  MARKS "marks: INVLPG", invlpg [PROBE]
  MARKS "marks: BT", bt dword [PROBE + 8], 1
  MARKS "marks: LEA", {lea eax, [PROBE]}
  MARKS "marks: NOP", {nop dword [PROBE]}
  MARKS "marks: ROL by 0", {rol byte [PROBE + 8], 0}
  MARKS "marks: STOSB, 0 times", call store_none
  ret
store_none:
  mov edi, PROBE
  xor ecx, ecx
  rep stosb
  ret
control: dd 0
directory: dd 0
table: dd 0
access: dd 0
entry_size: dd 0
image_end:
section .bss
%include "stacks.inc"
