/*
 * Entry of every benchmark guest: one ELF32 image that Multiboot loaders (v86, QEMU) and PVH loaders start alike,
 * in 32-bit protected mode without paging. PAGING selects: 0 none, 1 identity map with 4 KiB pages, 2 with 4 MiB pages.
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
        lgdt    gdt_pointer
        ljmp    $0x08, $1f
1:      mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
#if PAGING == 1
        mov     $page_tables, %edi      /* 8 tables: 32 MiB of identity-mapped 4 KiB pages */
        mov     $3, %eax
        mov     $8192, %ecx
2:      stosl
        add     $0x1000, %eax
        loop    2b
        mov     $page_directory, %edi
        mov     $page_tables + 3, %eax
        mov     $8, %ecx
3:      stosl
        add     $0x1000, %eax
        loop    3b
#elif PAGING == 2
        mov     $page_directory, %edi   /* 8 pages of 4 MiB */
        mov     $0x83, %eax
        mov     $8, %ecx
2:      stosl
        add     $0x400000, %eax
        loop    2b
        mov     %cr4, %eax
        or      $0x10, %eax
        mov     %eax, %cr4
#endif
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

        .section .data
        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff      /* flat code */
        .quad   0x00cf93000000ffff      /* flat data */
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt

        .section .bss
        .balign 4096
page_directory: .skip 4096
page_tables:    .skip 8 * 4096
        .skip   65536
stack_top:

        .section .note.GNU-stack, "", @progbits
