; The demo guest: a small 64-bit PVH kernel that gives a recording something to say.
;
; It runs on Xen (hypercall page, PV console, pvclock, timer events) and, when the Xen leaves are absent, on a plain
; PC with a UART at 0x3f8 and QEMU's debug-exit port at 0xf4. Its result lines are the same on both.
;
; Assembled by `nasm -f bin`: the ELF file, its note and its symbol table are laid out here, so that no linker's
; version shows in the bytes.

%include "elf.inc"          ; headers, sections, the func and endfunc macros

section .text
%include "boot.inc"         ; 32-bit entry, long mode, interrupt table
%include "xen.inc"          ; hypercall page, shared info, clock, timer events
%include "console.inc"      ; text out
%include "paging.inc"       ; demand paging
%include "compute.inc"      ; work on integers
%include "arrays.inc"       ; work on memory
%include "exits.inc"        ; work that leaves the guest
%include "main.inc"         ; what is done in which order

%include "tail.inc"         ; ends the sections that elf.inc opened
