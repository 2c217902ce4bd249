; A multiboot kernel that starts every other processor there is (INIT, SIPI) and lets all of them race: locked counters, a
; spin lock, code that they patch under each other, interrupts between them and from each one's timer, HLT. What it prints at
; the end depends on every interleaving; the determinism matrix wants it the same however the machine runs it.
bits 32
org 0x100000

CODE   equ 0x08
DATA   equ 0x10
LAPIC  equ 0xfee00000
ROUNDS equ 3000
AP     equ 0x8000                     ; where the other processors begin
TICK   equ 0x40                       ; vectors: timer, interrupt from another processor
CALLED equ 0x41

multiboot:
  dd 0x1badb002, 0x10000, -(0x1badb002 + 0x10000), multiboot, multiboot, image_end, bss_end, start

start:
  cli
  mov esp, stacks + 0x1000
  lgdt [gdtr]
  jmp CODE:.flat
.flat:
  mov ax, DATA
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov al, 0xff                        ; both 8259s masked
  out 0x21, al
  out 0xa1, al
  mov eax, tick
  mov ebx, TICK
  call gate
  mov eax, called
  mov ebx, CALLED
  call gate
  mov esi, trampoline
  mov edi, AP
  mov ecx, trampoline_end - trampoline
  rep movsb
  mov dword [LAPIC + 0x300], 0xc4500  ; INIT, then SIPI twice, to all but this one
  mov ecx, 20000
.wait_init:
  loop .wait_init
  mov dword [LAPIC + 0x300], 0xc4600 | AP >> 12
  mov dword [LAPIC + 0x300], 0xc4600 | AP >> 12
  mov ecx, 400000
.wait_sipi:
  loop .wait_sipi
  mov eax, [online]
  mov [others], eax
  xor ebp, ebp
  mov dword [go], 1
  call work
.all:
  mov eax, [done]
  pause
  cmp eax, [others]
  jna .all
  mov esi, results
  mov ecx, (results_end - results) / 4
.print:
  lodsd
  call hex
  loop .print
  mov al, 10
  out 0xe9, al
  mov al, [online]                    ; how many others there were
  out 0xf4, al
.halt:
  hlt
  jmp .halt

hex:
  pushad
  mov edx, eax
  mov ecx, 8
.digit:
  rol edx, 4
  mov al, dl
  and al, 15
  add al, '0'
  cmp al, '9'
  jbe .put
  add al, 'a' - '0' - 10
.put:
  out 0xe9, al
  loop .digit
  mov al, ' '
  out 0xe9, al
  popad
  ret

gate:                                 ; EAX: handler, EBX: vector
  mov [idt + ebx * 8], ax
  mov word [idt + ebx * 8 + 2], CODE
  mov word [idt + ebx * 8 + 4], 0x8e00
  shr eax, 16
  mov [idt + ebx * 8 + 6], ax
  ret

bits 16
trampoline:                           ; real mode, at AP
  cli
  xor ax, ax
  mov ds, ax
  o32 lgdt [AP + .pointer - trampoline]
  mov eax, cr0
  or al, 1
  mov cr0, eax
  jmp dword CODE:ap_start
.pointer: dw gdt_end - gdt - 1
  dd gdt
trampoline_end:

bits 32
ap_start:
  mov ax, DATA
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov ebp, 1
  lock xadd [online], ebp
  inc ebp
  mov esp, ebp
  inc esp
  shl esp, 12
  add esp, stacks
.wait:
  pause
  cmp dword [go], 0
  je .wait
  call work
.halt:
  hlt
  jmp .halt

work:                                 ; EBP: number of this processor
  lidt [idtr]
  mov dword [LAPIC + 0xf0], 0x1ff
  mov dword [LAPIC + 0x3e0], 0xb
  mov dword [LAPIC + 0x320], 0x20000 | TICK
  mov dword [LAPIC + 0x380], 7001     ; periodic
  sti
  mov ecx, ROUNDS
.round:
  lock inc dword [counter]
  mov eax, 1
.lock:
  xchg eax, [spin]
  test eax, eax
  jz .held
  pause
  jmp .lock
.held:
  inc dword [protected]
  mov edx, [counter]
  xor edx, ecx
  mov [patched + 1], edx              ; what every processor executes
  add edx, ebp
  mov esi, [list]
  add [list + 4 + esi * 4], edx
  inc esi
  and esi, 7
  mov [list], esi
  mov dword [spin], 0
  call patched
  lock add [sum], eax
  rol dword [mix], 3
  xor [mix], eax                      ; not locked: which writes are lost is part of the result
  mov eax, ecx
  and eax, 127
  jnz .next
  mov dword [LAPIC + 0x300], 0xc0000 | CALLED ; all but this one
.next:
  mov eax, ecx
  and eax, 511
  jnz .awake
  hlt                                 ; until the timer
.awake:
  dec ecx
  jnz .round
  cli
  mov dword [LAPIC + 0x320], 0x10000
  lock inc dword [done]
  ret

tick:
  lock inc dword [ticks]
  mov dword [LAPIC + 0xb0], 0
  iretd
called:
  lock inc dword [calls]
  mov dword [LAPIC + 0xb0], 0
  iretd

align 64
patched:
  mov eax, 0
  ret
align 64
results:
online: dd 0
counter: dd 0
protected: dd 0
sum: dd 0
mix: dd 0
ticks: dd 0
calls: dd 0
done: dd 0
list: times 9 dd 0
results_end:
spin: dd 0
go: dd 0
others: dd 0
align 8
gdt: dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_end:
gdtr: dw gdt_end - gdt - 1
  dd gdt
idtr: dw 0x42 * 8 - 1
  dd idt
image_end:
section .bss
alignb 16
idt: resb 0x42 * 8
alignb 4096
stacks: resb 0x10000
bss_end:
