; Single-stepping, what holds it back, breakpoints on instructions, data and ports (Intel SDM volume 3, chapter 17).
%include "frame.inc"

%macro STEPPED 0                      ; the next instruction is the first that traps
  pushfd
  or dword [esp], 0x100
  popfd
%endmacro
%macro UNSTEPPED 0
  pushfd
  and dword [esp], ~0x100
  popfd
%endmacro
%macro WATCH 2                        ; address, DR7
  mov eax, %1
  mov dr0, eax
  mov eax, %2
  mov dr7, eax
  xor eax, eax
%endmacro

tests:
  BEGIN "step: nops", GO
  RUN
  STEPPED
  nop
  nop
  UNSTEPPED
  END
  BEGIN "step: MOV SS holds one trap back", GO
  RUN
  mov ax, DATA0
  STEPPED
  mov ss, ax
  nop
  nop
  UNSTEPPED
  END
  BEGIN "step: POP SS", GO
  RUN
  push dword DATA0
  STEPPED
  pop ss
  nop
  UNSTEPPED
  END
  BEGIN "step: STI does not", GO
  RUN
  STEPPED
  sti
  nop
  cli
  UNSTEPPED
  END
  BEGIN "step: REP STOSB traps behind each iteration", GO
  RUN
  mov edi, buffer
  mov ecx, 3
  STEPPED
  rep stosb
  UNSTEPPED
  END
  BEGIN "step: POPF that clears TF", GO
  RUN
  push dword 2
  STEPPED
  popfd
  nop
  END
  BEGIN "step: INT3", GO
  RUN
  STEPPED
  int3
  nop
  UNSTEPPED
  END
  BEGIN "step: INT n", STOP
  RUN
  STEPPED
  int DONE
  END
  BEGIN "step: a fault first", STOP
  RUN
  STEPPED
  ud2
  END
  BEGIN "step: IRET that sets TF", GO
  RUN
  push dword 0x102
  push dword CODE0
  push dword .after
  iretd
.after:
  nop
  nop
  UNSTEPPED
  END
  BEGIN "icebp", GO
  RUN
  db 0xf1
  nop
  END
  BEGIN "execute: once, by RF", GO
  RUN
  WATCH .here, 0x402
.here:
  nop
  mov eax, 0x400
  mov dr7, eax
  END
  BEGIN "execute: behind MOV SS", GO
  RUN
  WATCH .here2, 0x402
  mov ax, DATA0
  mov ss, ax
.here2:
  nop
  mov eax, 0x400
  mov dr7, eax
  END
  BEGIN "write: 4 bytes", GO
  RUN
  WATCH buffer, 0xd0402
  mov [buffer], eax
  nop
  mov eax, [buffer]
  mov byte [buffer + 3], 1
  mov byte [buffer + 4], 1
  mov word [buffer - 1], 2
  mov eax, 0x400
  mov dr7, eax
  END
  BEGIN "access: 1 byte", GO
  RUN
  WATCH buffer + 1, 0x30402
  mov al, [buffer + 1]
  mov al, [buffer + 2]
  mov ax, [buffer]
  mov [buffer + 1], al
  inc byte [buffer + 1]
  mov eax, 0x400
  mov dr7, eax
  END
  BEGIN "write: 2 bytes, aligned down", GO
  RUN
  WATCH buffer + 3, 0x50402
  mov byte [buffer + 2], 1
  mov byte [buffer + 3], 1
  mov byte [buffer + 4], 1
  mov eax, 0x400
  mov dr7, eax
  END
  BEGIN "write: PUSH and CALL", GO
  RUN
  lea ecx, [esp - 4]
  WATCH ecx, 0xd0402
  push eax
  pop eax
  call .sub
  mov eax, 0x400
  mov dr7, eax
  jmp .past
.sub:
  ret
.past:
  END
  BEGIN "write: REP STOSD", GO
  RUN
  WATCH buffer + 4, 0xd0402
  mov edi, buffer
  mov ecx, 3
  rep stosd
  mov eax, 0x400
  mov dr7, eax
  END
  BEGIN "write: behind a step", GO
  RUN
  WATCH buffer, 0xd0402
  STEPPED
  mov [buffer], eax
  UNSTEPPED
  mov eax, 0x400
  mov dr7, eax
  END
  BEGIN "write: a fault hits nothing", STOP
  RUN
  WATCH buffer, 0xd0402
  db 0xf0, 0x89, 0x05                 ; LOCK MOV
  dd buffer
  END
  BEGIN "access: MOV SS holds it back", GO
  RUN
  mov word [buffer], DATA0
  WATCH buffer, 0x70402
  mov ss, [buffer]
  nop
  nop
  mov eax, 0x400
  mov dr7, eax
  END
  BEGIN "port: CR4.DE", GO
  RUN
  mov eax, cr4
  or eax, 8
  mov cr4, eax
  WATCH 0x80, 0x20402
  out 0x80, al
  in al, 0x80
  in al, 0x81
  mov dx, 0x7f
  in ax, dx
  mov eax, 0x400
  mov dr7, eax
  mov eax, cr4
  and eax, ~8
  mov cr4, eax
  mov eax, 0
  END
  BEGIN "general detect", GO
  RUN
  mov eax, 0x2400
  mov dr7, eax
  mov eax, dr0
  mov ebx, dr7
  xor eax, eax
  END
  BEGIN "DR6 keeps BS, replaces B0 to B3", GO
  RUN
  mov eax, 0x400e
  mov dr6, eax
  WATCH buffer, 0xd0402
  mov [buffer], eax
  mov eax, 0x400
  mov dr7, eax
  xor eax, eax
  END
  BEGIN "DR7 reads back", STOP
  RUN
  mov eax, 0xffff0055
  mov dr7, eax
  mov ebx, dr7
  mov eax, 0x400
  mov dr7, eax
  END
  BEGIN "step: into ring 3", STOP
  RUN
  push dword DATA3
  push dword stack3
  push dword 0x102
  push dword CODE3
  push dword .user
  iretd
.user:
  nop
  END
  ret
align 16
buffer: times 64 db 0
image_end:
section .bss
%include "stacks.inc"
