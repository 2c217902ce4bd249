/*
 * Entry of every 64-bit benchmark guest: linked as ELF64, then wrapped as ELF32, which Multiboot loaders want; entered
 * in 32-bit protected mode without paging, it goes to 64-bit mode by itself. PAGING selects: 1 identity map with 4 KiB
 * pages, 2 with 2 MiB pages.
 */
        .set    MB_MAGIC, 0x1badb002
        .section .boot, "ax"
        .long   MB_MAGIC, 0, -MB_MAGIC

        .text
        .code32
        .globl  _start
_start: cli
        cld
        xor     %eax, %eax              /* a loader may leave .bss dirty */
        mov     $__bss_start, %edi
        mov     $__bss_end, %ecx
        sub     %edi, %ecx
        shr     $2, %ecx
        rep stosl
        mov     $page_tables, %edi      /* 16 tables: 32 MiB of identity-mapped 4 KiB pages */
        mov     $7, %eax
        mov     $8192, %ecx
2:      stosl
        movl    $0, (%edi)
        add     $4, %edi
        add     $0x1000, %eax
        loop    2b
        mov     $page_directory, %edi
#if PAGING == 1
        mov     $page_tables + 7, %eax
        mov     $0x1000, %edx
#else
        mov     $0x87, %eax
        mov     $0x200000, %edx
#endif
        mov     $16, %ecx
3:      stosl
        add     $4, %edi
        add     %edx, %eax
        loop    3b
        movl    $page_directory + 7, page_pointers
        movl    $page_pointers + 7, page_root_table
        mov     $page_root_table, %eax
        mov     %eax, %cr3
        mov     %cr4, %eax              /* PAE, OSFXSR, OSXMMEXCPT */
        or      $0x620, %eax
        mov     %eax, %cr4
        mov     $0xc0000080, %ecx       /* EFER: SCE, LME */
        rdmsr
        or      $0x101, %eax
        wrmsr
        mov     %cr0, %eax              /* PG, WP, NE, MP; no EM, TS */
        and     $~0xc, %eax
        or      $0x80010022, %eax
        mov     %eax, %cr0
        mov     $tss, %eax
        mov     %ax, gdt_tss + 2
        shr     $16, %eax
        mov     %al, gdt_tss + 4
        mov     %ah, gdt_tss + 7
        lgdt    gdt_pointer
        ljmp    $0x08, $1f
        .code64
1:      mov     $0x23, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     $0x10, %eax
        mov     %eax, %ss
        mov     $stack_top, %esp
        mov     $0x30, %eax
        ltr     %ax
        lidt    idt_pointer
        fninit
        call    guest_main
        xor     %eax, %eax
        out     %al, $0xf4              /* debug exit port, where there is one */
4:      cli
        hlt
        jmp     4b

        .globl  run_in_ring3, leave_ring3
run_in_ring3:
        push    %rbp
        push    %rbx
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, saved_rsp
        movq    $user_trap_stack_top, tss + 4
        push    $0x23
        push    $user_stack_top - 8
        pushf
        push    $0x2b
        push    %rdi
        iretq
leave_ring3:
        mov     saved_rsp, %rsp
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbx
        pop     %rbp
        ret

        .section .data
        .balign 8
gdt:    .quad   0
        .quad   0x00af9b000000ffff      /* 08: 64-bit code, ring 0 */
        .quad   0x00cf93000000ffff      /* 10: data, ring 0 */
        .quad   0x00cffb000000ffff      /* 18: 32-bit code, ring 3 */
        .quad   0x00cff3000000ffff      /* 20: data, ring 3 */
        .quad   0x00affb000000ffff      /* 28: 64-bit code, ring 3 */
gdt_tss: .quad  0x0000890000000067, 0   /* 30: TSS */
gdt_pointer:
        .word   . - gdt - 1
        .quad   gdt
        .balign 4
        .word   0
idt_pointer:
        .word   256 * 16 - 1
        .quad   idt

        .section .bss
        .balign 4096
        .globl  page_directory, page_tables, page_pointers, page_root_table, idt, tss
page_root_table: .skip 4096
page_pointers:  .skip 4096
page_directory: .skip 4096
page_tables:    .skip 16 * 4096
idt:    .skip   256 * 16
tss:    .skip   104
saved_rsp: .skip 8
        .balign 16
        .skip   65536
stack_top:
        .skip   8192
user_stack_top:
        .globl  user_trap_stack_top
        .skip   8192
user_trap_stack_top:

        .section .note.GNU-stack, "", @progbits
