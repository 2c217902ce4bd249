; Task switches (Intel SDM volume 3, chapter 7): JMP, CALL, task gates, interrupts and exceptions through them, IRET with NT,
; busy bits and back links, 32- and 16-bit TSS, every fault that the new TSS can bring, the T bit. A task tells of itself in
; EAX (task register, back link) and EBX (flags; bit 31: CR0.TS; bits 24 to 27: type of the old, 28 to 30 of the new TSS).
%include "frame.inc"

%macro SELECTOR 1                     ; descriptors of the tests, in order
%1 equ next_selector
%assign next_selector next_selector + 8
%endmacro
%assign next_selector SPARE
SELECTOR TASK                         ; 32-bit TSS
SELECTOR TASK16
SELECTOR SHORT_TASK                   ; its limit is one too small
SELECTOR SHORT_TASK16
SELECTOR ABSENT_TASK
SELECTOR BUSY_TASK
SELECTOR GATE                         ; task gate to TASK
SELECTOR GATE_NOWHERE                 ; to a data segment
SELECTOR GATE_ABSENT
SELECTOR CODE16                       ; code and stack that 16 bits reach
SELECTOR DATA16
SELECTOR ABSENT_CODE
SELECTOR ABSENT_DATA
SELECTOR READ_ONLY
SELECTOR CONFORMING
SELECTOR LDT_HERE
SELECTOR LDT_ABSENT
SELECTOR TINY_CODE                    ; its limit is 0xff
SELECTOR TASK_USER                    ; DPL 3

SELECTOR HANDLER                      ; TSSs of the tasks that take exceptions 10 to 13
%assign next_selector next_selector + 24

%macro DESCRIPTOR 4                   ; base, limit, access byte, flags
  mov eax, %1
  mov edx, %2
  mov ecx, (%4) << 20 | (%3) << 8
  call descriptor
%endmacro
descriptor:
  mov [edi], dx
  mov [edi + 2], ax
  mov [edi + 4], ecx
  shr eax, 16
  mov [edi + 4], al
  mov [edi + 7], ah
  shr edx, 16
  or [edi + 6], dl
  add edi, 8
  ret

; Everything as it was: descriptors, the TSSs, the task register, LDTR, CR0.TS.
restore:
  pushad
  mov edi, gdt + SPARE
  DESCRIPTOR tss32, 0x67, 0x89, 0
  DESCRIPTOR tss16, 0x2b, 0x81, 0
  DESCRIPTOR tss32, 0x66, 0x89, 0
  DESCRIPTOR tss16, 0x2a, 0x81, 0
  DESCRIPTOR tss32, 0x67, 0x09, 0
  DESCRIPTOR tss32, 0x67, 0x8b, 0
  DESCRIPTOR TASK << 16 & 0xff0000, 0, 0x85, 0
  mov word [edi - 6], TASK
  DESCRIPTOR 0, 0, 0x85, 0
  mov word [edi - 6], DATA0
  DESCRIPTOR 0, 0, 0x05, 0
  mov word [edi - 6], TASK
  DESCRIPTOR 0x100000, 0xffff, 0x9b, 4
  DESCRIPTOR pages, 0xffff, 0x93, 4
  DESCRIPTOR 0, 0xfffff, 0x1b, 12
  DESCRIPTOR 0, 0xfffff, 0x13, 12
  DESCRIPTOR 0, 0xfffff, 0x91, 12
  DESCRIPTOR 0, 0xfffff, 0x9f, 12
  DESCRIPTOR pages, 0xff, 0x82, 0
  DESCRIPTOR pages, 0xff, 0x02, 0
  DESCRIPTOR 0, 0xff, 0x9b, 4
  DESCRIPTOR tss32, 0x67, 0xe9, 0
%assign n 0
%rep 4
  DESCRIPTOR handlers + n * 0x68, 0x67, 0x89, 0
  mov dword [handlers + n * 0x68 + 0x20], handle%+n
  mov dword [handlers + n * 0x68 + 0x24], 2
  mov dword [handlers + n * 0x68 + 0x38], stack_inner - 0x1000
  mov dword [handlers + n * 0x68 + 0x48], DATA0
  mov dword [handlers + n * 0x68 + 0x4c], CODE0
  mov dword [handlers + n * 0x68 + 0x50], DATA0
  mov dword [handlers + n * 0x68 + 0x54], DATA0
  %assign n n + 1
%endrep
  mov byte [gdt + TSS0 + 5], 0x89
  mov ax, TSS0
  ltr ax
  xor eax, eax
  lldt ax
  mov ecx, 26
  mov edi, tss32
  rep stosd
  mov ecx, 11
  mov edi, tss16
  rep stosd
  mov dword [tss32 + 4], stack_inner
  mov dword [tss32 + 8], DATA0
  mov dword [tss32 + 0x20], task
  mov dword [tss32 + 0x24], 0x42
  mov dword [tss32 + 0x28], 0x11111111
  mov dword [tss32 + 0x34], 0x22222222
  mov dword [tss32 + 0x38], stack_inner - 0x800
  mov dword [tss32 + 0x48], DATA0
  mov dword [tss32 + 0x4c], CODE0
  mov dword [tss32 + 0x50], DATA0
  mov dword [tss32 + 0x54], DATA0
  mov word [tss32 + 0x66], 0x68
  mov word [tss16 + 0xe], task - 0x100000
  mov word [tss16 + 0x10], 0x42
  mov word [tss16 + 0x12], 0x1616
  mov word [tss16 + 0x1a], 0x1000
  mov word [tss16 + 0x22], DATA0
  mov word [tss16 + 0x24], CODE16
  mov word [tss16 + 0x26], DATA16
  mov word [tss16 + 0x28], DATA0
  clts
  popad
  ret

; What every task runs. Position-independent: CS may begin at 1 MiB; it ends the case, or returns when [returns] is set.
task:
  pushfd
  pop ebx
  and ebx, 0x7fea                     ; those of the arithmetic have a case of their own
  smsw ecx
  and ecx, 8
  shl ecx, 28
  or ebx, ecx
  movzx ecx, byte [gdt + TSS0 + 5]
  and ecx, 15
  shl ecx, 24
  or ebx, ecx
  xor eax, eax
  str ax
  movzx ecx, byte [gdt + eax + 5]
  and ecx, 7
  shl ecx, 28
  or ebx, ecx
  mov cx, [tss32]
  or cx, [tss16]
  shl ecx, 16
  or eax, ecx
  cmp dword [returns], 0
  jne .return
  int DONE
.return:
  mov [seen_a], eax
  mov [seen_b], ebx
  iretd
  int DONE                            ; a task that is entered again goes on here

%macro TASK_END 0                     ; a fault: the new task's EAX, and the task register
%$end:
  str bx
  movzx ebx, bx
  call finish
  %pop
%endmacro
%macro CASE 1
  call restore
  mov dword [returns], 0
  BEGIN {%1}, STOP
  RUN
%endmacro
%macro RETURNING 1
  call restore
  mov dword [returns], 1
  BEGIN {%1}, STOP
  RUN
%endmacro
%macro FAULT 3                        ; name, where in the TSS, what: tasks take the exceptions, as the SDM advises
  CASE {"new TSS: ", %1}
  mov word [tss32 + %2], %3
  jmp TASK:0
  END
%endmacro
%macro TELL 0                         ; behind a return: what the task saw, and this one's state
  mov eax, [seen_a]
  mov ebx, [seen_b]
%endmacro
%macro STATE 0
  pushfd
  pop ebx
  and ebx, 0x4000
  xor eax, eax
  str ax
  movzx ecx, byte [gdt + TASK + 5]
  shl ecx, 16
  or eax, ecx
  movzx ecx, byte [gdt + TSS0 + 5]
  shl ecx, 24
  or eax, ecx
%endmacro
%macro TASK_GATE 2                    ; vector, selector
  mov word [idt + %1 * 8 + 2], %2
  mov byte [idt + %1 * 8 + 5], 0x85
%endmacro
%macro NORMAL_GATE 1
  mov word [idt + %1 * 8 + 2], CODE0
  mov byte [idt + %1 * 8 + 5], 0x8e
%endmacro

tests:
  CASE "JMP to a TSS"
  jmp TASK:0
  END
  CASE "CALL of a TSS"
  call TASK:0
  END
  CASE "JMP through a task gate"
  jmp GATE:0x1234
  END
  CASE "CALL through a task gate"
  call GATE:0x1234
  END
  CASE "JMP to a 16-bit TSS"
  jmp TASK16:0
  END
  CASE "CALL of a 16-bit TSS"
  call TASK16:0
  END
  RETURNING "CALL and IRET: what the task saw"
  call TASK:0
  TELL
  END
  RETURNING "CALL and IRET: what is left"
  call TASK:0
  STATE
  END
  RETURNING "CALL of a 16-bit TSS and IRET"
  call TASK16:0
  TELL
  END
  RETURNING "CALL keeps the registers of this task"
  mov eax, 0x12345678
  mov ebx, 0x9abcdef0
  call TASK:0
  END
  RETURNING "what CALL saves"
  stc
  call TASK:0
  mov eax, [tss0 + 0x28]
  mov ebx, [tss0 + 0x38]
  sub ebx, [case_esp]
  END
  RETURNING "what CALL saves: EFLAGS"
  stc
  call TASK:0
  mov eax, [tss0 + 0x24]
  END
  RETURNING "the returning task is saved, too"
  call TASK:0
  mov eax, [tss32 + 0x20]
  sub eax, task
  mov ebx, [tss32 + 0x24]
  END
  RETURNING "interrupt through a task gate"
  TASK_GATE 0x3e, TASK
  int 0x3e
  TELL
  END
  RETURNING "interrupt through a task gate: what is left"
  TASK_GATE 0x3e, TASK
  int 0x3e
  STATE
  END
  CASE "interrupt through a task gate to no TSS"
  TASK_GATE 0x3e, DATA0
  int 0x3e
  TASK_END
  CASE "interrupt through a task gate to a busy TSS"
  TASK_GATE 0x3e, BUSY_TASK
  int 0x3e
  TASK_END
  CASE "interrupt through a task gate to an absent TSS"
  TASK_GATE 0x3e, ABSENT_TASK
  int 0x3e
  TASK_END
  NORMAL_GATE 0x3e
  CASE "#UD through a task gate"
  TASK_GATE 6, TASK
  ud2
  END
  NORMAL_GATE 6
  CASE "#GP through a task gate: its error code"
  TASK_GATE 13, TASK
  mov dword [tss32 + 0x20], pop_code
  mov ax, DATA0 + 4
  mov ds, ax
  END
  NORMAL_GATE 13
  CASE "#GP through a 16-bit task gate: its error code"
  TASK_GATE 13, TASK16
  mov word [tss16 + 0xe], pop_code16 - 0x100000
  mov ax, DATA0 + 4
  mov ds, ax
  END
  NORMAL_GATE 13
  CASE "JMP to a busy TSS"
  jmp BUSY_TASK:0
  TASK_END
  CASE "CALL of a busy TSS"
  call BUSY_TASK:0
  TASK_END
  CASE "JMP to itself"
  jmp TSS0:0
  TASK_END
  CASE "JMP to an absent TSS"
  jmp ABSENT_TASK:0
  TASK_END
  CASE "JMP through an absent task gate"
  jmp GATE_ABSENT:0
  TASK_END
  CASE "JMP through a task gate to no TSS"
  jmp GATE_NOWHERE:0
  TASK_END
  CASE "JMP to a TSS with a limit of 0x66"
  jmp SHORT_TASK:0
  TASK_END
  CASE "JMP to a 16-bit TSS with a limit of 0x2a"
  jmp SHORT_TASK16:0
  TASK_END
  CASE "JMP to a TSS with RPL 3"
  jmp TASK | 3:0
  TASK_END
  CASE "IRET with NT, back link to a TSS that is not busy"
  mov word [tss0], TASK
  push dword 0x4002
  popfd
  iretd
  TASK_END
  CASE "IRET with NT, back link 0"
  mov word [tss0], 0
  push dword 0x4002
  popfd
  iretd
  TASK_END
  CASE "IRET with NT, back link to a data segment"
  mov word [tss0], DATA0
  push dword 0x4002
  popfd
  iretd
  TASK_END
  CASE "IRET with NT, back link into an LDT"
  mov word [tss0], TASK + 4
  push dword 0x4002
  popfd
  iretd
  TASK_END
  CASE "IRET with NT, back link to an absent busy TSS"
  mov byte [gdt + ABSENT_TASK + 5], 0x0b
  mov word [tss0], ABSENT_TASK
  push dword 0x4002
  popfd
  iretd
  TASK_END
  CASE "IRET with NT, back link to a busy TSS"
  mov word [tss0], BUSY_TASK
  push dword 0x4002
  popfd
  iretd
  END
  mov word [tss0], 0
  CASE "EFLAGS of the new task"
  mov dword [tss32 + 0x20], tell_flags
  jmp TASK:0
  END
%assign n 0
%rep 4
  %assign v 10 + n
  TASK_GATE v, HANDLER + n * 8
  %assign n n + 1
%endrep
  FAULT "CS 0", 0x4c, 0
  FAULT "CS is data", 0x4c, DATA0
  FAULT "CS absent", 0x4c, ABSENT_CODE
  FAULT "CS of ring 3, SS of ring 0", 0x4c, CODE3
  FAULT "CS beyond the table", 0x4c, 0x7f8
  FAULT "CS of DPL 0, RPL 3", 0x4c, CODE0 | 3
  FAULT "CS conforming", 0x4c, CONFORMING
  FAULT "SS 0", 0x50, 0
  FAULT "SS is code", 0x50, CODE0
  FAULT "SS absent", 0x50, ABSENT_DATA
  FAULT "SS read-only", 0x50, READ_ONLY
  FAULT "SS of RPL 3", 0x50, DATA3
  FAULT "DS 0", 0x54, 0
  FAULT "DS absent", 0x54, ABSENT_DATA
  FAULT "DS is a TSS", 0x54, TSS0
  FAULT "DS beyond the table", 0x54, 0x7f8
  FAULT "ES absent", 0x48, ABSENT_DATA
  FAULT "FS is a TSS", 0x58, TSS0
  FAULT "GS read-only", 0x5c, READ_ONLY
  FAULT "LDT", 0x60, LDT_HERE
  FAULT "LDT absent", 0x60, LDT_ABSENT
  FAULT "LDT is data", 0x60, DATA0
  FAULT "LDT selector of an LDT", 0x60, LDT_HERE + 4
  FAULT "EIP beyond the limit", 0x4c, TINY_CODE
%assign v 10
%rep 4
  NORMAL_GATE v
  %assign v v + 1
%endrep
  CASE "new TSS: T bit"
  mov byte [tss32 + 0x64], 1
  jmp TASK:0
  TASK_END
  CASE "new TSS: TF"
  mov dword [tss32 + 0x24], 0x102
  jmp TASK:0
  TASK_END
  CASE "new TSS: DR7's local enables"
  mov eax, 0x555
  mov dr7, eax
  jmp TASK:0
  mov eax, 0
%$end:
  mov eax, dr7
  xor ebx, ebx
  call finish
  %pop
  mov eax, 0x400
  mov dr7, eax
  CASE "ring 3: JMP to a TSS of DPL 0"
  USER .ring3a
.ring3a:
  jmp TASK:0
  TASK_END
  CASE "ring 3: JMP to a TSS of DPL 3"
  USER .ring3b
.ring3b:
  jmp TASK_USER:0
  END
  CASE "ring 3: INT through a task gate of DPL 0"
  TASK_GATE 0x3e, TASK
  USER .ring3c
.ring3c:
  int 0x3e
  TASK_END
  CASE "ring 3: INT through a task gate of DPL 3"
  mov byte [idt + 0x3e * 8 + 5], 0xe5
  USER .ring3d
.ring3d:
  int 0x3e
  END
  NORMAL_GATE 0x3e
  CASE "a task of ring 3"
  mov word [tss32 + 0x4c], CODE3
  mov word [tss32 + 0x50], DATA3
  mov word [tss32 + 0x54], DATA3
  mov word [tss32 + 0x48], DATA3
  jmp TASK:0
  END
  call restore
  ret

%assign n 0
%rep 4                                ; the error code; the vector and who was interrupted
handle%+n:
  pop eax
  movzx ebx, word [handlers + n * 0x68]
  or ebx, (10 + n) << 16
  int DONE
  %assign n n + 1
%endrep
tell_flags:
  pushfd
  pop ebx
  xor eax, eax
  int DONE
pop_code:
  pop eax
  mov ebx, [tss0 + 0x20]
  sub ebx, [case_start]
  int DONE
pop_code16:                           ; D is set in CODE16: 32-bit code, a 16-bit error code on the stack
  pop ax
  movzx eax, ax
  xor ebx, ebx
  int DONE
align 8
tss32: times 0x68 db 0
tss16: times 0x2c db 0
handlers: times 4 * 0x68 db 0
returns: dd 0
seen_a: dd 0
seen_b: dd 0
image_end:
section .bss
%include "stacks.inc"
