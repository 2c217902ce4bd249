; Real mode and big real mode (Intel SDM volume 3, chapter 20 and 9.9), code that modifies itself within a page, across pages
; and through another mapping, and when translations must be new (4.10). The real-mode part is copied to REAL
; and runs there.
%include "frame.inc"

REAL    equ 0x10000                   ; where the real-mode code lies
PDPT    equ pages
PD      equ pages + 0x1000
PT      equ pages + 0x5000
WINDOW  equ 0x40000000                ; where pages are mapped at will
FRAME_A equ 0x400000
FRAME_B equ 0x401000

tests:
  mov esi, real_begin
  mov edi, REAL
  mov ecx, real_end - real_begin
  rep movsb
  mov edi, 0                          ; IVT: vectors 0 to 31 tell who they are
  xor ecx, ecx
.ivt:
  mov eax, ecx
  shl eax, 3
  add eax, real_stubs - real_begin
  mov [edi + ecx * 4], ax
  mov word [edi + ecx * 4 + 2], REAL >> 4
  inc ecx
  cmp ecx, 32
  jb .ivt
  mov dword [gdt + SPARE], 0x0000ffff | REAL << 16 & 0xffff0000
  mov dword [gdt + SPARE + 4], 0x009a00 | REAL >> 16
  mov dword [gdt + SPARE + 8], 0x0000ffff
  mov dword [gdt + SPARE + 12], 0x00009200
  mov dword [gdt + SPARE + 16], 0x0000ffff
  mov dword [gdt + SPARE + 20], 0x00cf9200
  call real_cases
  call modify
  call translations
  ret

; A case in real mode: the code at a label of the real-mode part, in AX:0 limits of 64 KiB or (BIG) of 4 GiB. It returns EAX
; and EBX; a vector that came is in the upper half of EAX, where it came in EBX.
%macro REAL_CASE 3                    ; name, label, data selector
  BEGIN %1, STOP
  RUN
  mov dword [real_target], %2 - real_begin
  mov dword [real_data], %3
  call enter_real
  END
%endmacro
SMALL equ SPARE + 8
BIG   equ SPARE + 16

enter_real:
  mov [real_esp], esp
  mov cx, [real_target]
  mov [REAL + real_where - real_begin], cx
  lidt [real_idtr]
  mov cx, SMALL
  mov ss, cx
  mov cx, [real_data]
  mov ds, cx
  mov es, cx
  mov fs, cx
  mov gs, cx
  jmp SPARE:real_entry - real_begin
returned:                             ; flat again; results in EAX, EBX
  mov cx, DATA0
  mov ds, cx
  mov es, cx
  mov ss, cx
  mov esp, [real_esp]
  lidt [idtr]
  ret

bits 16
real_begin:
real_entry:
  mov ecx, cr0
  and cl, 0xfe
  mov cr0, ecx
  jmp REAL >> 4:.real - real_begin
.real:
  xor cx, cx
  mov ds, cx
  mov es, cx
  mov ss, cx
  mov sp, 0x7000
  mov gs, cx
  xor eax, eax
  xor ebx, ebx
  jmp [cs:real_where - real_begin]
real_where: dw 0
real_back:
  o32 lgdt [cs:real_gdtr - real_begin]
  mov ecx, cr0
  or cl, 1
  mov cr0, ecx
  jmp dword CODE0:returned
real_gdtr: dw gdt_end - gdt - 1
  dd gdt
%assign v 0
align 8
real_stubs:
%rep 32
  push word v
  jmp near real_vector
  align 8
  %assign v v + 1
%endrep
real_vector:                          ; vector, IP, CS, FLAGS
  pop ax
  pop bx
  shl eax, 16
  pop ax                              ; CS
  shl ebx, 16
  pop bx
  and bx, 0x7fff
  jmp real_back
%macro BACK 0
  jmp near real_back
%endmacro

r_wrap:                               ; 0xffff: a word over the end of the segment
  mov bx, 0xffff
  mov ax, [bx]
  BACK
r_wrap_stack:
  mov sp, 0xffff
  pop ax
  BACK
r_dword_end:
  mov bx, 0xfffd
  mov eax, [bx]
  BACK
r_byte_end:
  mov bx, 0xffff
  mov al, [bx]
  mov ax, 0x1234
  BACK
r_address32:
  mov ebx, 0x10000
  mov al, [ebx]
  BACK
r_address32_low:
  mov dword [0x600], 0x89abcdef
  mov ebx, 0x600
  mov eax, [ebx]
  mov ebx, 0x1111
  BACK
r_big:                                ; FS has kept what it had in protected mode
  mov ebx, 0x400000
  mov dword [fs:ebx], 0xfeedface
  mov eax, [fs:ebx]
  mov ebx, 0x2222
  BACK
r_big_reloaded:                       ; a load in real mode changes the base alone
  mov cx, 0x1000
  mov fs, cx
  mov dword [fs:0x7ff0], 0x600df00d
  mov ebx, 0x20000
  mov eax, [fs:ebx - 0x18010]
  mov cx, 0
  mov fs, cx
  mov ebx, 0x400000
  mov ebx, [fs:ebx]
  BACK

r_int:
  mov ax, 0x55aa
  int 5
  BACK
r_int3:
  int3
  BACK
r_into:
  mov al, 0x7f
  add al, 1
  into
  BACK
r_bound:
  mov word [0x600], 5
  mov word [0x602], 9
  mov bx, 4
  bound bx, [0x600]
  BACK
r_divide:
  mov ax, 5
  mov bl, 0
  div bl
  BACK
r_undefined:
  ud2
  BACK
r_protected_only:
  lldt ax
  BACK
r_str:
  str ax
  BACK
r_arpl:
  arpl ax, bx
  BACK
r_lock:
  db 0xf0, 0x89, 0xc0
  BACK
r_flags:                              ; IOPL and NT can be set, VM not
  push word 0x7000
  popf
  pushf
  pop ax
  push dword 0x20000
  popfd
  pushfd
  pop ebx
  and eax, 0xffff
  BACK
r_iret32:
  push dword 0x247
  push dword REAL >> 4
  push dword .here - real_begin
  iretd
.here:
  pushfd
  pop eax
  mov ebx, 1
  BACK
r_idt_limit:                          ; the table ends before vector 32
  o32 lidt [cs:.short - real_begin]
  int 0x1f
  BACK
.short: dw 32 * 4 - 1
  dd 0
r_idt_moved:                          ; a table elsewhere
  mov si, 0
  mov di, 0x3000
  mov cx, 64
  rep movsw
  mov word [0x3000 + 5 * 4], .mine - real_begin
  o32 lidt [cs:.moved - real_begin]
  int 5
  BACK
.mine:
  add sp, 6
  mov eax, 0x1234
  BACK
.moved: dw 32 * 4 - 1
  dd 0x3000
r_smsw:
  smsw ax
  and ax, 1
  BACK
r_cs_base:                            ; the segment value times 16
  call .next
.next:
  pop bx
  mov ax, cs
  sub bx, .next - real_begin
  BACK
r_far:
  push cs
  push word .there - real_begin
  retf
.there:
  mov ax, 0x7777
  BACK
r_a20:                                ; FFFF:0010 is 1 MiB: with A20 open not 0
  mov word [0x500], 0x5a5a
  mov cx, 0xffff
  mov gs, cx
  mov ax, [gs:0x510]
  mov bx, [0x500]
  cmp ax, bx
  setne al
  movzx eax, al
  mov ebx, 0
  BACK
r_a20_closed:                         ; by port 92
  in al, 0x92
  and al, 0xfc
  out 0x92, al
  mov word [0x500], 0xa5a5
  mov cx, 0xffff
  mov gs, cx
  mov bx, [gs:0x510]
  in al, 0x92
  or al, 2
  out 0x92, al
  mov ax, [gs:0x510]
  cmp ax, 0xa5a5
  setne al
  movzx eax, al
  movzx ebx, bx
  BACK
r_string32:                           ; 32-bit counts and addresses of a string instruction
  mov esi, 0x600
  mov edi, 0x700
  mov dword [0x600], 0xcafebabe
  mov ecx, 0x4
  a32 rep movsb
  mov eax, [0x700]
  mov ebx, edi
  BACK
r_loop:
  mov ecx, 0x10003
  mov ax, 0
.again:
  inc ax
  loop .again
  mov ebx, ecx
  movzx eax, ax
  BACK
r_enter:
  mov ebp, 0x12345678
  enter 8, 0
  mov ax, bp
  mov bx, sp
  BACK
r_xchg_far_indirect:
  mov word [0x600], .there2 - real_begin
  mov word [0x602], REAL >> 4
  call far [0x600]
  BACK
.there2:
  mov bp, sp
  mov ax, [bp + 2]
  mov bx, sp
  retf
real_end:
bits 32

real_cases:
  REAL_CASE "real: a word across the end of the segment", r_wrap, SMALL
  REAL_CASE "real: POP across the end of the stack", r_wrap_stack, SMALL
  REAL_CASE "real: a dword across the end", r_dword_end, SMALL
  REAL_CASE "real: the last byte", r_byte_end, SMALL
  REAL_CASE "real: a 32-bit address beyond the limit", r_address32, SMALL
  REAL_CASE "real: a 32-bit address within", r_address32_low, SMALL
  REAL_CASE "big real: 4 GiB", r_big, BIG
  REAL_CASE "big real: FS loaded again", r_big_reloaded, BIG
  REAL_CASE "real: INT", r_int, SMALL
  REAL_CASE "real: INT3", r_int3, SMALL
  REAL_CASE "real: INTO", r_into, SMALL
  REAL_CASE "real: BOUND", r_bound, SMALL
  REAL_CASE "real: DIV", r_divide, SMALL
  REAL_CASE "real: UD2", r_undefined, SMALL
  REAL_CASE "real: LLDT", r_protected_only, SMALL
  REAL_CASE "real: STR", r_str, SMALL
  REAL_CASE "real: ARPL", r_arpl, SMALL
  REAL_CASE "real: LOCK MOV", r_lock, SMALL
  REAL_CASE "real: flags", r_flags, SMALL
  REAL_CASE "real: IRETD", r_iret32, SMALL
  REAL_CASE "real: INT of the last vector within the limit", r_idt_limit, SMALL
  REAL_CASE "real: a table elsewhere", r_idt_moved, SMALL
  REAL_CASE "real: SMSW", r_smsw, SMALL
  REAL_CASE "real: CS", r_cs_base, SMALL
  REAL_CASE "real: RETF", r_far, SMALL
  REAL_CASE "real: A20 open", r_a20, SMALL
  REAL_CASE "real: A20 closed", r_a20_closed, SMALL
  REAL_CASE "real: 32-bit string addresses", r_string32, SMALL
  REAL_CASE "real: LOOP counts CX", r_loop, SMALL
  REAL_CASE "real: ENTER", r_enter, SMALL
  REAL_CASE "real: indirect far CALL", r_xchg_far_indirect, SMALL
  ret

%include "translations.inc"

real_target: dd 0
real_data: dd 0
real_esp: dd 0
real_idtr: dw 0x3ff
  dd 0
image_end:
section .bss
%include "stacks.inc"
