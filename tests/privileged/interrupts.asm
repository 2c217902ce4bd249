; Interrupt controllers and windows: the 8259s, the 8254, the local APIC and the I/O APIC, from their registers and from what
; arrives when the processor lets it (Intel SDM volume 3, 6 and 10 (11); datasheets of the 8259A, 8254 and 82093AA). The handler
; does not end an interrupt: the cases do. Lines that rise when told: the first UART's (IRQ 4), by its transmitter's interrupt.
%include "frame.inc"

LAPIC  equ 0xfee00000
IOAPIC equ 0xfec00000
SELF   equ 0x40000                    ; ICR shorthand
NMI    equ 0x400

%macro CASE 1                         ; from a clean state, interrupts off, both APICs and 8259s quiet
  call clean
  BEGIN %1, GO
  RUN
%endmacro
%macro LA 2
  mov dword [LAPIC + %1], %2
%endmacro
%macro OUTB 2
  mov al, %2
  out %1, al
%endmacro
%macro UART_UP 0                      ; IRQ 4 rises: the transmitter is empty
  mov dx, 0x3f9
  mov al, 2
  out dx, al
%endmacro
%macro UART_DOWN 0
  mov dx, 0x3f9
  mov al, 0
  out dx, al
%endmacro
%macro WINDOW 0                       ; lets everything in
  sti
  times 8 nop
  cli
%endmacro
%macro SOON 0                          ; time for what was sent to arrive
  mov ecx, 1000
  loop $
%endmacro
%macro RESULT 2                       ; what a case shows; the handler keeps registers
  mov eax, %1
  mov ebx, %2
%endmacro

tests:
  mov dx, 0x3fc                       ; OUT2 lets the UART's interrupt out
  mov al, 8
  out dx, al
  mov dword [no_distance], 1
  call pic
  call pit
  call lapic
  call ioapic
  mov dword [no_distance], 0
  call windows
  call clean
  ret

clean:
  cli
  pushad
  UART_DOWN
  OUTB 0x20, 0x11
  OUTB 0x21, 0x20
  OUTB 0x21, 4
  OUTB 0x21, 1
  OUTB 0xa0, 0x11
  OUTB 0xa1, 0x28
  OUTB 0xa1, 2
  OUTB 0xa1, 1
  OUTB 0x21, 0xff
  OUTB 0xa1, 0xff
  mov dx, 0x4d0
  mov al, 0
  out dx, al
  inc dx
  out dx, al
  LA 0xf0, 0x1ff
  LA 0x80, 0
  LA 0x320, 0x10000
  LA 0x380, 0
  LA 0x370, 0x10000
  LA 0x350, 0x10700                   ; LINT0 masked: the 8259 does not come through it
  mov ecx, 16
.eoi:
  LA 0xb0, 0
  loop .eoi
  LA 0x280, 0
  LA 0x280, 0
  mov dword [IOAPIC], 0x18            ; pin 4
  mov dword [IOAPIC + 0x10], 0x10000
  mov dword [IOAPIC], 0x19
  mov dword [IOAPIC + 0x10], 0
  sti                                 ; what is left is logged into no case
  nop
  nop
  cli
  mov ecx, 16
.eoi2:
  LA 0xb0, 0
  loop .eoi2
  popad
  ret

extint: LA 0x350, 0x700               ; the 8259 is let through LINT0
  ret

%include "interrupts_pc.inc"
%include "interrupts_apic.inc"

; A vector is pending; where does it come?
%macro PENDING 1
  CASE %1
  LA 0x300, SELF | 0x25
%endmacro
windows:
  PENDING "window: STI holds one instruction back"
  sti
  nop
  nop
  cli
  RESULT 0, 0
  END
  PENDING "window: STI, CLI"
  sti
  cli
  nop
  RESULT 0, 0
  END
  PENDING "window: STI, STI"
  sti
  sti
  nop
  cli
  RESULT 0, 0
  END
  PENDING "window: STI when it is set already"
  LA 0x80, 0xf0
  sti
  nop
  LA 0x80, 0
  sti
  nop
  cli
  RESULT 0, 0
  END
  PENDING "window: STI, MOV SS"
  mov ax, ss
  sti
  mov ss, ax
  nop
  nop
  cli
  RESULT 0, 0
  END
  PENDING "window: STI, POP SS"
  push ss
  sti
  pop ss
  nop
  nop
  cli
  RESULT 0, 0
  END
  PENDING "window: STI, MOV SS, MOV SS"
  mov ax, ss
  sti
  mov ss, ax
  mov ss, ax
  nop
  nop
  cli
  RESULT 0, 0
  END
  PENDING "window: STI, MOV DS"
  mov ax, ds
  sti
  mov ds, ax
  nop
  cli
  RESULT 0, 0
  END
  PENDING "window: POPF"
  push dword 0x202
  popfd
  nop
  nop
  cli
  RESULT 0, 0
  END
  PENDING "window: IRET"
  push dword 0x202
  push dword CODE0
  push dword .iret
  iretd
.iret:
  nop
  nop
  cli
  RESULT 0, 0
  END
  PENDING "window: STI, HLT"
  sti
  hlt
  nop
  cli
  RESULT 0, 0
  END
  PENDING "window: STI and a fault"
  sti
  ud2
  END
  PENDING "window: STI, INT"
  sti
  int 0x3f
  nop
  cli
  RESULT 0, 0
  END
  CASE "window: HLT, woken by the timer"
  LA 0x3e0, 0xb
  LA 0x320, 0x27
  LA 0x380, 100000
  sti
  hlt
  nop
  cli
  RESULT [LAPIC + 0x390], 0
  END
  mov dword [no_distance], 1          ; what is sent to oneself is there soon, not at once
  CASE "window: NMI"
  LA 0x300, SELF | NMI
  SOON
  RESULT 0, 0
  END
  PENDING "window: NMI before an interrupt"
  LA 0x300, SELF | NMI
  SOON
  WINDOW
  RESULT 0, 0
  END
  CASE "window: NMI of the I/O APIC wakes HLT without IF"
  mov dword [IOAPIC], 0x14            ; pin 2: the 8254
  mov dword [IOAPIC + 0x10], 0x400
  OUTB 0x43, 0x30
  OUTB 0x40, 0
  OUTB 0x40, 0x10
  hlt
  mov dword [IOAPIC], 0x14
  mov dword [IOAPIC + 0x10], 0x10000
  RESULT 1, 2
  END
  call clean
  BEGIN "window: a second NMI waits for IRET", STOP
  RUN
  LA 0x300, SELF | NMI
  SOON
  END                                 ; the handler has not returned
  BEGIN "window: and comes behind it", GO
  RUN
  LA 0x300, SELF | NMI
  SOON
  mov ebx, [log_count]
  push dword 2
  push dword CODE0
  push dword .nmi_return
  iretd
.nmi_return:
  SOON
  mov eax, [log_count]
  END
  mov dword [no_distance], 0
  PENDING "window: ring 3 takes it whatever its priority level"
  push dword DATA3
  push dword stack3
  push dword 0x202
  push dword CODE3
  push dword .user
  iretd
.user:
  nop
  int DONE
  END
  PENDING "window: REP, behind an iteration"
  mov edi, buffer
  mov ecx, 4
  push dword 0x202
  popfd
  rep stosb
  cli
  RESULT ecx, 0
  END
  ret
align 16
buffer: times 64 db 0
image_end:
section .bss
%include "stacks.inc"
