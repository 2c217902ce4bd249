/*
 * Entry of every 32-bit benchmark guest: one ELF32 image that Multiboot loaders (v86, QEMU) and PVH loaders start
 * alike, in 32-bit protected mode without paging. PAGING selects: 0 none, 1 identity map with 4 KiB pages, 2 with
 * 4 MiB pages.
 */
        .set    MB_MAGIC, 0x1badb002
        .section .boot, "ax"
        .long   MB_MAGIC, 0, -MB_MAGIC

        .section .note.pvh, "a", @note
        .long   4, 4, 18                /* name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .long   _start

        .text
        .globl  _start
_start: cli
        cld
        mov     $stack_top, %esp
        xor     %eax, %eax              /* a loader may leave .bss dirty */
        mov     $__bss_start, %edi
        mov     $__bss_end, %ecx
        sub     %edi, %ecx
        shr     $2, %ecx
        rep stosl
        mov     $stack_top, %esp
        mov     $tss, %eax              /* the TSS descriptor's base, which no relocation can express */
        mov     %ax, gdt_tss + 2
        shr     $16, %eax
        mov     %al, gdt_tss + 4
        mov     %ah, gdt_tss + 7
        lgdt    gdt_pointer
        ljmp    $0x08, $1f
1:      mov     $0x23, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     $0x10, %eax
        mov     %eax, %ss
        mov     $0x28, %eax
        ltr     %ax
        lidt    idt_pointer
#if PAGING == 1
        mov     $page_tables, %edi      /* 8 tables: 32 MiB of identity-mapped 4 KiB pages */
        mov     $7, %eax
        mov     $8192, %ecx
2:      stosl
        add     $0x1000, %eax
        loop    2b
        mov     $page_directory, %edi
        mov     $page_tables + 7, %eax
        mov     $8, %ecx
3:      stosl
        add     $0x1000, %eax
        loop    3b
#elif PAGING == 2
        mov     $page_directory, %edi   /* 8 pages of 4 MiB */
        mov     $0x87, %eax
        mov     $8, %ecx
2:      stosl
        add     $0x400000, %eax
        loop    2b
        mov     %cr4, %eax
        or      $0x10, %eax
        mov     %eax, %cr4
#endif
        mov     %cr4, %eax              /* OSFXSR, OSXMMEXCPT */
        or      $0x600, %eax
        mov     %eax, %cr4
        mov     %cr0, %eax              /* MP, NE; no EM, TS */
        and     $~0xc, %eax
        or      $0x22, %eax
        mov     %eax, %cr0
        fninit
#if PAGING
        mov     $page_directory, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80010000, %eax
        mov     %eax, %cr0
#endif
        call    guest_main
        xor     %eax, %eax
        out     %al, $0xf4              /* debug exit port, where there is one */
4:      cli
        hlt
        jmp     4b

        .globl  run_in_ring3, leave_ring3
run_in_ring3:
        mov     4(%esp), %eax
        push    %ebp
        push    %ebx
        push    %esi
        push    %edi
        mov     %esp, saved_esp
        movl    $user_trap_stack_top, tss + 4
        movl    $0x10, tss + 8
        push    $0x23
        push    $user_stack_top
        pushf
        push    $0x1b
        push    %eax
        iret
leave_ring3:
        mov     saved_esp, %esp
        pop     %edi
        pop     %esi
        pop     %ebx
        pop     %ebp
        ret

        .section .data
        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff      /* 08: code, ring 0 */
        .quad   0x00cf93000000ffff      /* 10: data, ring 0 */
        .quad   0x00cffb000000ffff      /* 18: code, ring 3 */
        .quad   0x00cff3000000ffff      /* 20: data, ring 3 */
gdt_tss: .quad  0x0000890000000067      /* 28: TSS */
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt
        .balign 4
        .word   0
idt_pointer:
        .word   256 * 8 - 1
        .long   idt

        .section .bss
        .balign 4096
        .globl  page_directory, page_tables, idt, tss
page_directory: .skip 4096
page_tables:    .skip 8 * 4096
idt:    .skip   256 * 8
tss:    .skip   104
saved_esp: .skip 4
        .balign 16
        .skip   65536
stack_top:
        .skip   8192
user_stack_top:
        .globl  user_trap_stack_top
        .skip   8192
user_trap_stack_top:

        .section .note.GNU-stack, "", @progbits
