; Segment registers, limits, gates and task switches (Intel SDM volume 3, chapters 5 to 8): every kind of descriptor
; with every instruction that takes a selector, from ring 0 and ring 3.
%include "frame.inc"

BASE equ 0x200000                     ; where small test segments lie
; Descriptors from SPARE on: base, limit, access byte, flags (G D/B L AVL).
%macro DESCRIPTOR 4
  dw (%2) & 0xffff, (%1) & 0xffff
  db ((%1) >> 16) & 0xff, %3, (%4) << 4 | ((%2) >> 16) & 15, ((%1) >> 24) & 0xff
%endmacro
%macro GATE 4                         ; offset from `image`, selector, count, access byte: offsets are filled in at run time
  dw 0, %2
  db %3, %4
  dw 0
%endmacro

tests:
  mov esi, descriptors
  mov edi, gdt + SPARE
  mov ecx, (descriptors_end - descriptors) / 4
  rep movsd
  mov eax, target                     ; offsets of the call gates
  mov edi, gdt + SPARE
  mov ecx, (descriptors_end - descriptors) / 8
.gates:
  mov dl, [edi + 5]
  and dl, 0x1f
  cmp dl, 0x0c
  jne .no_gate
  mov [edi], ax
  ror eax, 16
  mov [edi + 6], ax
  ror eax, 16
.no_gate:
  add edi, 8
  loop .gates
  mov dword [numbered], 1

; A case for one instruction with a selector in AX, for every selector with RPL 0 and 3, and in ring 3.
%macro SELECTORS 2+                   ; name, instructions
  mov dword [number], 0
%%next:
  BEGIN %1, STOP
  RUN
  mov eax, [number]
  mov ebx, 0x1234
  %2
  END
  BEGIN {"ring 3: ", %1}, STOP
  RUN
  USER %%user
%%user:
  mov ax, DATA3
  mov ds, ax
  mov eax, [number]
  mov ebx, 0x1234
  %2
  int DONE
  END
  call advance
  jc %%next
%endmacro

  SELECTORS "mov ds", mov ds, ax
%macro MOV_SS 0                       ; and back before anything is pushed
  mov ss, ax
  mov cx, DATA0
  mov ss, cx
%endmacro
  SELECTORS "mov ss", MOV_SS
  SELECTORS "lar", call do_lar
  SELECTORS "lsl", call do_lsl
  SELECTORS "verr", call do_verr
  SELECTORS "verw", call do_verw
  SELECTORS "call far", call do_call
  SELECTORS "jmp far", call do_jmp

; Limits: DS = each data descriptor, offsets around its limit, sizes 1, 2, 4.
  mov dword [number], SPARE
.limits:
  BEGIN "limit: read", STOP
  RUN
  call do_reads
  END
  BEGIN "limit: write", STOP
  RUN
  call do_writes
  END
  call advance_limits
  jc .limits
  ret

advance:                              ; selectors 0 to the end of the tests, RPL 0 and 3; CF: go on
  mov eax, [number]
  xor eax, 3
  test al, 3
  jnz .store
  add eax, 8
.store:
  mov [number], eax
  cmp eax, SPARE + (descriptors_end - descriptors) + 8
  ret

advance_limits:
  mov eax, [number]
  add eax, 8
  mov [number], eax
  cmp eax, SPARE + (gates - descriptors)
  ret

do_lar:
  lar ebx, ax
  jmp flag
do_lsl:
  lsl ebx, ax
  jmp flag
do_verr:
  verr ax
  jmp flag
do_verw:
  verw ax
flag:
  setz al
  movzx eax, al
  ret

do_call:
  mov [pointer + 4], ax
  mov dword [pointer], target
  call far [pointer]
  ret
do_jmp:
  mov [pointer + 4], ax
  mov dword [pointer], target
  jmp far [pointer]

target:                               ; wherever far transfers go: CS, and how far the stack has moved
  mov ax, cs
  movzx eax, ax
  mov bx, ss
  movzx ebx, bx
  int DONE

%macro ACCESS 2                       ; a bit of EBX tells that an access did not fault
  %2
  inc eax
%endmacro
do_reads:
  mov ax, [number]
  mov ds, ax
  xor eax, eax
  ACCESS 1, {mov cl, [0xffc]}
  ACCESS 1, {mov ecx, [0xffc]}
  ACCESS 1, {mov cl, [0xfff]}
  ACCESS 1, {mov cx, [0xfff]}
  ret
do_writes:
  mov ax, [number]
  mov ds, ax
  xor eax, eax
  ACCESS 1, {mov [0xffc], ecx}
  ACCESS 1, {mov [0xfff], cl}
  ACCESS 1, {mov [0x1000], cl}
  ACCESS 1, {mov [0xfffc], ecx}
  ret

align 8
pointer: dd 0
  dw 0
align 8
descriptors:
  DESCRIPTOR BASE, 0xfff, 0x93, 4     ; data, read and write, byte limit
  DESCRIPTOR BASE, 0xfff, 0x91, 4     ; read only
  DESCRIPTOR BASE, 0xfff, 0xf3, 4     ; DPL 3
  DESCRIPTOR BASE, 0xfff, 0x97, 4     ; expand down, 32 bits
  DESCRIPTOR BASE, 0xfff, 0x97, 0     ; expand down, 16 bits
  DESCRIPTOR BASE, 0xffe, 0x93, 4     ; limit one less
  DESCRIPTOR BASE, 0x1, 0x93, 12      ; two pages
  DESCRIPTOR BASE, 0xfff, 0x13, 4     ; not present
  DESCRIPTOR BASE, 0xfff, 0xb3, 4     ; DPL 1
gates:
  DESCRIPTOR 0, 0xfffff, 0x9b, 12     ; code, readable
  DESCRIPTOR 0, 0xfffff, 0x99, 12     ; execute only
  DESCRIPTOR 0, 0xfffff, 0x9f, 12     ; conforming, readable
  DESCRIPTOR 0, 0xfffff, 0xff, 12     ; conforming, DPL 3
  DESCRIPTOR 0, 0xfffff, 0xfb, 12     ; DPL 3
  DESCRIPTOR 0, 0xfffff, 0x1b, 12     ; not present
  DESCRIPTOR 0, 0xfff, 0x9b, 4        ; limit below the target
  DESCRIPTOR BASE, 0xfff, 0x82, 0     ; LDT
  DESCRIPTOR 0, 0, 0x80, 0            ; reserved system type
  GATE 0, CODE0, 0, 0x8c              ; call gate, DPL 0
  GATE 0, CODE0, 0, 0xec              ; DPL 3
  GATE 0, CODE0, 2, 0xec              ; with two parameters
  GATE 0, CODE3, 0, 0xec              ; to ring 3
  GATE 0, 0, 0, 0xec                  ; to the null selector
  GATE 0, DATA0, 0, 0xec              ; to data
  GATE 0, CODE0, 0, 0x6c              ; not present
  GATE 0, 0x3f8, 0, 0xec              ; beyond the GDT
  GATE 0, TSS0, 0, 0x85               ; task gate
descriptors_end:
image_end:
section .bss
%include "stacks.inc"
