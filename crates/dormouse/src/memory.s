    // void *memcpy(void *to, const void *from, size_t count), and memmove, which is the same function:
    // to in rdi, from in rsi, count in rdx; to in rax at the end. Up to 256 bytes all is read before
    // anything is written, so that it does not matter how the two overlap. A middle size is two halves
    // that overlap each other.
    .text
    .p2align 5
    .globl dormouse_move
    .hidden dormouse_move
    .type dormouse_move, @function
dormouse_move:
    .cfi_startproc
    mov rax, rdi
    cmp rdx, 16
    jb 20f
    cmp rdx, 32
    ja 21f
    movdqu xmm0, [rsi]
    movdqu xmm1, [rsi + rdx - 16]
    movdqu [rdi], xmm0
    movdqu [rdi + rdx - 16], xmm1
    ret
21:
    cmp rdx, 64
    ja 22f
    movdqu xmm0, [rsi]
    movdqu xmm1, [rsi + 16]
    movdqu xmm2, [rsi + rdx - 32]
    movdqu xmm3, [rsi + rdx - 16]
    movdqu [rdi], xmm0
    movdqu [rdi + 16], xmm1
    movdqu [rdi + rdx - 32], xmm2
    movdqu [rdi + rdx - 16], xmm3
    ret
22:
    cmp rdx, 128
    ja 23f
    movdqu xmm0, [rsi]
    movdqu xmm1, [rsi + 16]
    movdqu xmm2, [rsi + 32]
    movdqu xmm3, [rsi + 48]
    movdqu xmm4, [rsi + rdx - 64]
    movdqu xmm5, [rsi + rdx - 48]
    movdqu xmm6, [rsi + rdx - 32]
    movdqu xmm7, [rsi + rdx - 16]
    movdqu [rdi], xmm0
    movdqu [rdi + 16], xmm1
    movdqu [rdi + 32], xmm2
    movdqu [rdi + 48], xmm3
    movdqu [rdi + rdx - 64], xmm4
    movdqu [rdi + rdx - 48], xmm5
    movdqu [rdi + rdx - 32], xmm6
    movdqu [rdi + rdx - 16], xmm7
    ret
23:
    cmp rdx, 256
    ja 24f
    movdqu xmm0, [rsi]
    movdqu xmm1, [rsi + 16]
    movdqu xmm2, [rsi + 32]
    movdqu xmm3, [rsi + 48]
    movdqu xmm4, [rsi + 64]
    movdqu xmm5, [rsi + 80]
    movdqu xmm6, [rsi + 96]
    movdqu xmm7, [rsi + 112]
    movdqu xmm8, [rsi + rdx - 128]
    movdqu xmm9, [rsi + rdx - 112]
    movdqu xmm10, [rsi + rdx - 96]
    movdqu xmm11, [rsi + rdx - 80]
    movdqu xmm12, [rsi + rdx - 64]
    movdqu xmm13, [rsi + rdx - 48]
    movdqu xmm14, [rsi + rdx - 32]
    movdqu xmm15, [rsi + rdx - 16]
    movdqu [rdi], xmm0
    movdqu [rdi + 16], xmm1
    movdqu [rdi + 32], xmm2
    movdqu [rdi + 48], xmm3
    movdqu [rdi + 64], xmm4
    movdqu [rdi + 80], xmm5
    movdqu [rdi + 96], xmm6
    movdqu [rdi + 112], xmm7
    movdqu [rdi + rdx - 128], xmm8
    movdqu [rdi + rdx - 112], xmm9
    movdqu [rdi + rdx - 96], xmm10
    movdqu [rdi + rdx - 80], xmm11
    movdqu [rdi + rdx - 64], xmm12
    movdqu [rdi + rdx - 48], xmm13
    movdqu [rdi + rdx - 32], xmm14
    movdqu [rdi + rdx - 16], xmm15
    ret

    // Few: two pieces of a power of two, or first, middle and last byte.
20:
    cmp edx, 8
    jae 25f
    cmp edx, 4
    jae 26f
    test edx, edx
    jz 27f
    movzx ecx, byte ptr [rsi]
    movzx r8d, byte ptr [rsi + rdx - 1]
    mov r9, rdx
    shr r9
    movzx r10d, byte ptr [rsi + r9]
    mov [rdi], cl
    mov [rdi + r9], r10b
    mov [rdi + rdx - 1], r8b
27:
    ret
26:
    mov ecx, [rsi]
    mov r8d, [rsi + rdx - 4]
    mov [rdi], ecx
    mov [rdi + rdx - 4], r8d
    ret
25:
    mov rcx, [rsi]
    mov r8, [rsi + rdx - 8]
    mov [rdi], rcx
    mov [rdi + rdx - 8], r8
    ret

    // Many, forward: eight at a time to where they are aligned. The ends, which that leaves out, are read
    // first and written last.
24:
    mov rcx, rdi
    sub rcx, rsi
    cmp rcx, rdx
    jb 28f
    movdqu xmm0, [rsi]
    movdqu xmm1, [rsi + rdx - 16]
    lea r8, [rdi + rdx - 16]
    mov r9, rdi
    neg r9
    and r9d, 15
    add rdi, r9
    add rsi, r9
    sub rdx, r9
    mov rcx, rdx
    shr rcx, 3
    rep movsq
    movdqu [rax], xmm0
    movdqu [r8], xmm1
    ret

    // Many, to where they are to be read from yet: backward, 64 at a time. The first 64 are read first and
    // written last.
28:
    movdqu xmm4, [rsi]
    movdqu xmm5, [rsi + 16]
    movdqu xmm6, [rsi + 32]
    movdqu xmm7, [rsi + 48]
29:
    movdqu xmm0, [rsi + rdx - 16]
    movdqu xmm1, [rsi + rdx - 32]
    movdqu xmm2, [rsi + rdx - 48]
    movdqu xmm3, [rsi + rdx - 64]
    movdqu [rdi + rdx - 16], xmm0
    movdqu [rdi + rdx - 32], xmm1
    movdqu [rdi + rdx - 48], xmm2
    movdqu [rdi + rdx - 64], xmm3
    sub rdx, 64
    cmp rdx, 64
    ja 29b
    movdqu [rdi], xmm4
    movdqu [rdi + 16], xmm5
    movdqu [rdi + 32], xmm6
    movdqu [rdi + 48], xmm7
    ret
    .cfi_endproc
    .size dormouse_move, . - dormouse_move
