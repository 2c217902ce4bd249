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

pic:
  CASE "pic: masks read back"
  OUTB 0x21, 0x5a
  OUTB 0xa1, 0xa5
  xor eax, eax
  in al, 0x21
  mov ebx, eax
  in al, 0xa1
  END
  CASE "pic: edge, masked: IRR"
  UART_UP
  xor eax, eax
  OUTB 0x20, 0x0a
  in al, 0x20
  movzx ebx, al
  UART_DOWN
  in al, 0x20
  movzx eax, al
  END
  CASE "pic: edge: interrupt, then ISR"
  call extint
  OUTB 0x21, 0xef
  UART_UP
  WINDOW
  OUTB 0x20, 0x0b
  in al, 0x20
  movzx ebx, al
  OUTB 0x20, 0x0a
  in al, 0x20
  movzx eax, al
  END
  CASE "pic: an edge that has gone: spurious 7"
  call extint
  OUTB 0x21, 0xef
  UART_UP
  UART_DOWN
  WINDOW
  OUTB 0x20, 0x0b
  in al, 0x20
  movzx ebx, al
  END
  CASE "pic: level that has gone: spurious 7"
  call extint
  OUTB 0x21, 0xef
  mov dx, 0x4d0
  mov al, 0x10
  out dx, al
  UART_UP
  UART_DOWN
  WINDOW
  OUTB 0x20, 0x0b
  in al, 0x20
  movzx ebx, al
  END
  CASE "pic: level: again after EOI while it stands"
  call extint
  OUTB 0x21, 0xef
  mov dx, 0x4d0
  mov al, 0x10
  out dx, al
  UART_UP
  WINDOW
  OUTB 0x20, 0x20
  WINDOW
  OUTB 0x20, 0x20
  UART_DOWN
  WINDOW
  RESULT 0, 0
  END
  CASE "pic: edge: not again after EOI"
  call extint
  OUTB 0x21, 0xef
  UART_UP
  WINDOW
  OUTB 0x20, 0x20
  WINDOW
  RESULT 0, 0
  END
  CASE "pic: a request behind one in service waits for EOI"
  call extint
  OUTB 0x21, 0xef
  UART_UP
  WINDOW
  UART_DOWN
  UART_UP
  WINDOW
  OUTB 0x20, 0x0a
  in al, 0x20
  movzx ebx, al
  OUTB 0x20, 0x64                     ; specific EOI of 4
  WINDOW
  RESULT 0, ebx
  END
  CASE "pic: automatic EOI"
  OUTB 0x20, 0x11
  OUTB 0x21, 0x20
  OUTB 0x21, 4
  OUTB 0x21, 3
  OUTB 0x21, 0xef
  call extint
  UART_UP
  WINDOW
  OUTB 0x20, 0x0b
  in al, 0x20
  movzx ebx, al
  RESULT 0, ebx
  END
  CASE "pic: poll"
  OUTB 0x21, 0xef
  UART_UP
  OUTB 0x20, 0x0c
  in al, 0x20
  movzx ebx, al
  OUTB 0x20, 0x0b
  in al, 0x20
  movzx eax, al
  END
  CASE "pic: poll of nothing"
  OUTB 0x20, 0x0c
  in al, 0x20
  movzx eax, al
  END
  CASE "pic: IRQ 0 before 4, lowest 0 then 4 first"
  call extint
  OUTB 0x43, 0x30                     ; 8254: mode 0, soon
  OUTB 0x40, 10
  OUTB 0x40, 0
  mov ecx, 200000
  loop $
  UART_UP
  OUTB 0x20, 0x0a
  in al, 0x20
  movzx ebx, al
  OUTB 0x20, 0xc0                     ; 0 becomes the lowest
  OUTB 0x21, 0xee
  WINDOW
  OUTB 0x20, 0x20
  WINDOW
  OUTB 0x20, 0x20
  OUTB 0x20, 0xc7                     ; and 7 again
  RESULT 0, ebx
  END
  CASE "pic: IRQ 0 interrupts 4, not the other way"
  call extint
  OUTB 0x43, 0x30
  OUTB 0x40, 10
  OUTB 0x40, 0
  OUTB 0x21, 0xef
  mov ecx, 200000
  loop $
  UART_UP
  WINDOW
  OUTB 0x21, 0xee
  WINDOW
  OUTB 0x20, 0x0b
  in al, 0x20
  movzx ebx, al
  OUTB 0x20, 0x20
  OUTB 0x20, 0x20
  RESULT 0, ebx
  END
  CASE "pic: special mask mode lets lower ones in"
  call extint
  OUTB 0x43, 0x30
  OUTB 0x40, 10
  OUTB 0x40, 0
  OUTB 0x21, 0xfe
  mov ecx, 200000
  loop $
  WINDOW
  OUTB 0x20, 0x68
  OUTB 0x21, 0xef
  UART_UP
  WINDOW
  OUTB 0x20, 0x0b
  in al, 0x20
  movzx ebx, al
  OUTB 0x20, 0x48
  RESULT 0, ebx
  END
  CASE "pic: edge/level registers read back"
  mov dx, 0x4d0
  mov al, 0xff
  out dx, al
  inc dx
  out dx, al
  in al, dx
  movzx ebx, al
  dec dx
  in al, dx
  movzx eax, al
  END
  ret

; What a counter of the 8254 says of itself: status, and twice the count, of which only its properties are printed.
%macro STATUS 2                       ; counter, control word behind which a count of 0x4000 is written
  OUTB 0x43, %2
  OUTB 0x40 + %1, 0
  OUTB 0x40 + %1, 0x40
  mov ecx, 50000
  loop $
  OUTB 0x43, 0xe0 | 2 << %1           ; latch the status
  in al, 0x40 + %1
  movzx ebx, al
%endmacro
pit:
%assign mode 0
%rep 6
%defstr digit mode
%strcat low "pit: status of counter 2, gate low, mode ", digit
%strcat high "pit: status of counter 2, gate high, mode ", digit
  CASE low
  OUTB 0x61, 0
  STATUS 2, 0xb0 | mode << 1
  RESULT 0, ebx
  END
  CASE high
  OUTB 0x61, 1
  STATUS 2, 0xb0 | mode << 1
  and ebx, 0x7f
  RESULT 0, ebx
  OUTB 0x61, 0
  RESULT 0, ebx
  END
%assign mode mode + 1
%endrep
  CASE "pit: the mode of an access of one byte"
  OUTB 0x61, 0
  OUTB 0x43, 0x90
  OUTB 0x42, 0x12
  OUTB 0x43, 0xe8
  in al, 0x42
  movzx ebx, al
  END
  CASE "pit: null count until a count is written"
  OUTB 0x43, 0xb4
  OUTB 0x43, 0xe8
  in al, 0x42
  movzx ebx, al
  RESULT 0, ebx
  END
  CASE "pit: a latched count stays, and is latched once"
  OUTB 0x61, 1
  OUTB 0x43, 0xb4
  OUTB 0x42, 0
  OUTB 0x42, 0x80
  OUTB 0x43, 0x80
  in al, 0x42
  mov bl, al
  mov ecx, 100000
  loop $
  OUTB 0x43, 0x80
  in al, 0x42                         ; the upper half of the first one
  cmp al, 0x7f
  setae bh
  and ebx, 0xff00
  OUTB 0x61, 0
  RESULT 0, ebx
  END
  CASE "pit: OUT of mode 0 rises at the end of the count"
  OUTB 0x61, 1
  OUTB 0x43, 0xb0
  OUTB 0x42, 0xff
  OUTB 0x42, 0xff
  in al, 0x61
  mov bl, al
  OUTB 0x43, 0xb0
  OUTB 0x42, 8
  OUTB 0x42, 0
  mov ecx, 300000
  loop $
  in al, 0x61
  mov bh, al
  and ebx, 0x2020
  OUTB 0x61, 0
  RESULT 0, ebx
  END
  CASE "pit: mode 3 counts by two"
  OUTB 0x61, 1
  OUTB 0x43, 0xb6
  OUTB 0x42, 0
  OUTB 0x42, 0x10
  xor ebx, ebx
  mov ecx, 100
.two:
  OUTB 0x43, 0x80
  in al, 0x42
  or bl, al
  in al, 0x42
  loop .two
  and ebx, 1
  OUTB 0x61, 0
  RESULT 0, ebx
  END
  ret

%macro READ 2                         ; name, register: as it is, and behind a write of all ones
  CASE %1
  mov eax, [LAPIC + %2]
  LA %2, 0xffffffff
  mov ebx, [LAPIC + %2]
  mov [LAPIC + %2], eax
  END
%endmacro
lapic:
  READ "lapic: ID", 0x20
  CASE "lapic: version"
  mov eax, [LAPIC + 0x30]
  END
  READ "lapic: TPR", 0x80
  READ "lapic: LDR", 0xd0
  READ "lapic: DFR", 0xe0
  READ "lapic: LVT thermal", 0x330
  READ "lapic: LVT counters", 0x340
  READ "lapic: LVT LINT0", 0x350
  READ "lapic: LVT LINT1", 0x360
  READ "lapic: LVT error", 0x370
  READ "lapic: LVT timer", 0x320
  READ "lapic: divide configuration", 0x3e0
  CASE "lapic: SVR"
  LA 0xf0, 0xffffffff
  mov eax, [LAPIC + 0xf0]
  LA 0xf0, 0
  mov ebx, [LAPIC + 0xf0]
  END
  CASE "lapic: software disabled: LVT entries are masked and stay so"
  LA 0x350, 0x700
  LA 0xf0, 0xff
  mov eax, [LAPIC + 0x350]
  LA 0x350, 0x700
  mov ebx, [LAPIC + 0x350]
  END
  CASE "lapic: ICR reads back"
  LA 0x310, 0x05000000
  LA 0x300, 0x8c000 | 0x25            ; to all, including itself, level assert
  mov eax, [LAPIC + 0x300]
  mov ebx, [LAPIC + 0x310]
  END
  CASE "lapic: self interrupt: IRR"
  LA 0x300, SELF | 0x25
  mov ebx, [LAPIC + 0x210]
  mov eax, [LAPIC + 0xa0]
  END
  CASE "lapic: self interrupt: ISR, PPR"
  LA 0x300, SELF | 0x25
  WINDOW
  mov ebx, [LAPIC + 0x110]
  mov eax, [LAPIC + 0xa0]
  END
  CASE "lapic: the higher vector first, the lower behind EOI"
  LA 0x300, SELF | 0x25
  LA 0x300, SELF | 0x35
  WINDOW
  LA 0xb0, 0
  WINDOW
  RESULT 0, [LAPIC + 0x110]
  END
  CASE "lapic: the same class waits, a higher one does not"
  LA 0x300, SELF | 0x25
  WINDOW
  LA 0x300, SELF | 0x2e
  WINDOW
  LA 0x300, SELF | 0x31
  WINDOW
  mov eax, [LAPIC + 0x210]
  mov ebx, [LAPIC + 0x110]
  END
  CASE "lapic: TPR holds back its class and below"
  LA 0x80, 0x20
  LA 0x300, SELF | 0x25
  WINDOW
  LA 0x300, SELF | 0x35
  WINDOW
  mov eax, [LAPIC + 0xa0]
  LA 0xb0, 0
  LA 0x80, 0x1f
  WINDOW
  RESULT eax, [LAPIC + 0xa0]
  END
  CASE "lapic: PPR with a TPR of the same class"
  LA 0x300, SELF | 0x25
  WINDOW
  LA 0x80, 0x2c
  mov eax, [LAPIC + 0xa0]
  LA 0x80, 0x3c
  mov ebx, [LAPIC + 0xa0]
  END
  CASE "lapic: TMR of an edge interrupt"
  LA 0x300, SELF | 0x25
  mov eax, [LAPIC + 0x190]
  END
  CASE "lapic: illegal vector sent"
  LA 0x300, SELF | 5
  LA 0x280, 0
  mov eax, [LAPIC + 0x280]
  LA 0x280, 0
  mov ebx, [LAPIC + 0x280]
  END
  CASE "lapic: error interrupt"
  LA 0x370, 0x26
  LA 0x300, SELF | 5
  WINDOW
  LA 0x280, 0
  RESULT 0, [LAPIC + 0x280]
  END
  CASE "lapic: timer, one shot"
  LA 0x3e0, 0xb
  LA 0x320, 0x27
  LA 0x380, 1000
  mov ecx, 400000
  loop $
  mov eax, [LAPIC + 0x390]
  mov ebx, [LAPIC + 0x210]
  WINDOW
  LA 0xb0, 0
  WINDOW
  RESULT eax, ebx
  END
  CASE "lapic: timer, masked"
  LA 0x3e0, 0xb
  LA 0x320, 0x10027
  LA 0x380, 1000
  mov ecx, 400000
  loop $
  mov eax, [LAPIC + 0x390]
  mov ebx, [LAPIC + 0x210]
  END
  CASE "lapic: timer, stopped by an initial count of 0"
  LA 0x3e0, 0xb
  LA 0x320, 0x27
  LA 0x380, 0x7fffffff
  LA 0x380, 0
  mov eax, [LAPIC + 0x390]
  mov ebx, [LAPIC + 0x380]
  END
  CASE "lapic: timer, periodic"
  LA 0x3e0, 0xb
  LA 0x320, 0x20027
  LA 0x380, 100000
  mov ecx, 400000
  loop $
  WINDOW
  LA 0xb0, 0
  mov ecx, 400000
  loop $
  WINDOW
  LA 0x320, 0x10000
  RESULT [LAPIC + 0x380], 0
  END
  CASE "lapic: timer, current count is not written"
  LA 0x320, 0x10027
  LA 0x390, 0x1234
  mov eax, [LAPIC + 0x390]
  END
  CASE "lapic: a vector set twice is one interrupt"
  LA 0x300, SELF | 0x25
  LA 0x300, SELF | 0x25
  WINDOW
  LA 0xb0, 0
  WINDOW
  RESULT 0, 0
  END
  CASE "lapic: set again while in service"
  LA 0x300, SELF | 0x25
  WINDOW
  LA 0x300, SELF | 0x25
  WINDOW
  LA 0xb0, 0
  WINDOW
  RESULT 0, 0
  END
  ret

%macro RTE 1                          ; the low half of pin 4's entry
  mov dword [IOAPIC], 0x18
  mov dword [IOAPIC + 0x10], %1
%endmacro
%macro READ_RTE 1
  mov dword [IOAPIC], 0x18
  mov %1, [IOAPIC + 0x10]
%endmacro
ioapic:
  CASE "ioapic: ID reads back"
  mov dword [IOAPIC], 0
  mov dword [IOAPIC + 0x10], 0xffffffff
  mov ebx, [IOAPIC + 0x10]
  mov dword [IOAPIC + 0x10], 0
  mov eax, [IOAPIC + 0x10]
  END
  CASE "ioapic: number of pins"
  mov dword [IOAPIC], 1
  mov eax, [IOAPIC + 0x10]
  and eax, 0xff0000
  mov ebx, [IOAPIC]
  END
  CASE "ioapic: an entry reads back"
  RTE 0xffffffff
  mov dword [IOAPIC], 0x19
  mov dword [IOAPIC + 0x10], 0xffffffff
  mov ebx, [IOAPIC + 0x10]
  READ_RTE eax
  END
  CASE "ioapic: edge"
  RTE 0x33
  UART_UP
  WINDOW
  LA 0xb0, 0
  WINDOW
  READ_RTE ebx
  RESULT 0, ebx
  END
  CASE "ioapic: an edge while masked is lost"
  RTE 0x10033
  UART_UP
  RTE 0x33
  WINDOW
  RESULT 0, 0
  END
  CASE "ioapic: level: remote IRR until EOI, again while it stands"
  RTE 0x8033
  UART_UP
  READ_RTE eax
  WINDOW
  LA 0xb0, 0
  WINDOW
  UART_DOWN
  READ_RTE ebx
  LA 0xb0, 0
  WINDOW
  RESULT eax, ebx
  END
  CASE "ioapic: level: TMR"
  RTE 0x8033
  UART_UP
  mov eax, [LAPIC + 0x190]
  mov ebx, [LAPIC + 0x210]
  END
  CASE "ioapic: level while masked comes when unmasked"
  RTE 0x18033
  UART_UP
  RTE 0x8033
  WINDOW
  RESULT 0, 0
  END
  CASE "ioapic: logical destination"
  LA 0xd0, 0x04000000
  LA 0xe0, 0xffffffff
  RTE 0x833
  mov dword [IOAPIC], 0x19
  mov dword [IOAPIC + 0x10], 0x0c000000
  UART_UP
  WINDOW
  UART_DOWN
  LA 0xb0, 0
  mov dword [IOAPIC], 0x19
  mov dword [IOAPIC + 0x10], 0x08000000
  UART_UP
  WINDOW
  RESULT 0, 0
  END
  CASE "ioapic: another processor's"
  RTE 0x33
  mov dword [IOAPIC], 0x19
  mov dword [IOAPIC + 0x10], 0x07000000
  UART_UP
  WINDOW
  RESULT 0, 0
  END
  CASE "ioapic: NMI"
  RTE 0x433
  UART_UP
  times 8 nop
  RESULT 0, 0
  END
  ret

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
