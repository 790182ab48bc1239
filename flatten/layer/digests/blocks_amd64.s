//go:build !purego

#include "textflag.h"

// The state of the first digest is in X1 (ABEF) and X2 (CDGH), that of the second in X3 and X4. X5
// to X8 are the last 16 words of the message schedule, which both share.

// FOUR does four rounds of both digests, with the words in X0 to which K was added.
#define FOUR \
	SHA256RNDS2 X0, X1, X2 \
	SHA256RNDS2 X0, X3, X4 \
	PSHUFD $0x0e, X0, X0 \
	SHA256RNDS2 X0, X2, X1 \
	SHA256RNDS2 X0, X4, X3

// LOAD loads four words of the message, at n bytes, and adds K.
#define LOAD(n, into) \
	MOVOU n(SI), into \
	PSHUFB X10, into \
	MOVO into, X0 \
	PADDD n(AX), X0

// ADDK adds K, at n bytes, to words that are computed already.
#define ADDK(n, words) \
	MOVO words, X0 \
	PADDD n(AX), X0

// NEXT completes the words after now; before are those before now.
#define NEXT(before, now, after) \
	MOVO now, X9 \
	PALIGNR $4, before, X9 \
	PADDD X9, after \
	SHA256MSG2 now, after

// UNPACK turns A to H, as two vectors of four words, into ABEF and CDGH.
#define UNPACK(abef, cdgh) \
	PSHUFD $0xb1, abef, abef \
	PSHUFD $0x1b, cdgh, cdgh \
	MOVO abef, X9 \
	PALIGNR $8, cdgh, abef \
	PBLENDW $0xf0, X9, cdgh

// PACK is the reverse of UNPACK.
#define PACK(abef, cdgh) \
	PSHUFD $0x1b, abef, abef \
	PSHUFD $0xb1, cdgh, cdgh \
	MOVO abef, X9 \
	PBLENDW $0xf0, cdgh, abef \
	PALIGNR $8, X9, cdgh

// func blocks(a, b *[8]uint32, p []byte)
// Requires: SHA, SSE2, SSE4.1, SSSE3
TEXT ·blocks(SB), NOSPLIT, $0-40
	MOVQ a+0(FP), DI
	MOVQ b+8(FP), BX
	MOVQ p_base+16(FP), SI
	MOVQ p_len+24(FP), DX
	ANDQ $-64, DX
	JZ   done
	ADDQ SI, DX
	MOVOU 0(DI), X1
	MOVOU 16(DI), X2
	MOVOU 0(BX), X3
	MOVOU 16(BX), X4
	UNPACK(X1, X2)
	UNPACK(X3, X4)
	MOVOU flip<>(SB), X10
	LEAQ K<>(SB), AX

block:
	MOVO X1, X11
	MOVO X2, X12
	MOVO X3, X13
	MOVO X4, X14

	LOAD(0, X5)
	FOUR
	LOAD(16, X6)
	FOUR
	SHA256MSG1 X6, X5
	LOAD(32, X7)
	FOUR
	SHA256MSG1 X7, X6
	LOAD(48, X8)
	NEXT(X7, X8, X5)
	FOUR
	SHA256MSG1 X8, X7
	ADDK(64, X5)
	NEXT(X8, X5, X6)
	FOUR
	SHA256MSG1 X5, X8
	ADDK(80, X6)
	NEXT(X5, X6, X7)
	FOUR
	SHA256MSG1 X6, X5
	ADDK(96, X7)
	NEXT(X6, X7, X8)
	FOUR
	SHA256MSG1 X7, X6
	ADDK(112, X8)
	NEXT(X7, X8, X5)
	FOUR
	SHA256MSG1 X8, X7
	ADDK(128, X5)
	NEXT(X8, X5, X6)
	FOUR
	SHA256MSG1 X5, X8
	ADDK(144, X6)
	NEXT(X5, X6, X7)
	FOUR
	SHA256MSG1 X6, X5
	ADDK(160, X7)
	NEXT(X6, X7, X8)
	FOUR
	SHA256MSG1 X7, X6
	ADDK(176, X8)
	NEXT(X7, X8, X5)
	FOUR
	SHA256MSG1 X8, X7
	ADDK(192, X5)
	NEXT(X8, X5, X6)
	FOUR
	SHA256MSG1 X5, X8
	ADDK(208, X6)
	NEXT(X5, X6, X7)
	FOUR
	ADDK(224, X7)
	NEXT(X6, X7, X8)
	FOUR
	ADDK(240, X8)
	FOUR

	PADDD X11, X1
	PADDD X12, X2
	PADDD X13, X3
	PADDD X14, X4
	ADDQ $64, SI
	CMPQ SI, DX
	JNE  block

	PACK(X1, X2)
	PACK(X3, X4)
	MOVOU X1, 0(DI)
	MOVOU X2, 16(DI)
	MOVOU X3, 0(BX)
	MOVOU X4, 16(BX)

done:
	RET

// func extensions() (ebx uint32)
// EBX of leaf 7 of CPUID, or 0 if there is no such leaf.
TEXT ·extensions(SB), NOSPLIT, $0-4
	XORL AX, AX
	CPUID
	XORL BX, BX
	CMPL AX, $7
	JLT  none
	MOVL $7, AX
	XORL CX, CX
	CPUID

none:
	MOVL BX, ebx+0(FP)
	RET

// flip reverses the bytes of each word: the message is big-endian.
DATA flip<>+0(SB)/8, $0x0405060700010203
DATA flip<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL flip<>(SB), NOPTR|RODATA, $16

// K are the constants of the rounds (FIPS 180-4, section 4.2.2).
DATA K<>+0(SB)/8, $0x71374491428a2f98
DATA K<>+8(SB)/8, $0xe9b5dba5b5c0fbcf
DATA K<>+16(SB)/8, $0x59f111f13956c25b
DATA K<>+24(SB)/8, $0xab1c5ed5923f82a4
DATA K<>+32(SB)/8, $0x12835b01d807aa98
DATA K<>+40(SB)/8, $0x550c7dc3243185be
DATA K<>+48(SB)/8, $0x80deb1fe72be5d74
DATA K<>+56(SB)/8, $0xc19bf1749bdc06a7
DATA K<>+64(SB)/8, $0xefbe4786e49b69c1
DATA K<>+72(SB)/8, $0x240ca1cc0fc19dc6
DATA K<>+80(SB)/8, $0x4a7484aa2de92c6f
DATA K<>+88(SB)/8, $0x76f988da5cb0a9dc
DATA K<>+96(SB)/8, $0xa831c66d983e5152
DATA K<>+104(SB)/8, $0xbf597fc7b00327c8
DATA K<>+112(SB)/8, $0xd5a79147c6e00bf3
DATA K<>+120(SB)/8, $0x1429296706ca6351
DATA K<>+128(SB)/8, $0x2e1b213827b70a85
DATA K<>+136(SB)/8, $0x53380d134d2c6dfc
DATA K<>+144(SB)/8, $0x766a0abb650a7354
DATA K<>+152(SB)/8, $0x92722c8581c2c92e
DATA K<>+160(SB)/8, $0xa81a664ba2bfe8a1
DATA K<>+168(SB)/8, $0xc76c51a3c24b8b70
DATA K<>+176(SB)/8, $0xd6990624d192e819
DATA K<>+184(SB)/8, $0x106aa070f40e3585
DATA K<>+192(SB)/8, $0x1e376c0819a4c116
DATA K<>+200(SB)/8, $0x34b0bcb52748774c
DATA K<>+208(SB)/8, $0x4ed8aa4a391c0cb3
DATA K<>+216(SB)/8, $0x682e6ff35b9cca4f
DATA K<>+224(SB)/8, $0x78a5636f748f82ee
DATA K<>+232(SB)/8, $0x8cc7020884c87814
DATA K<>+240(SB)/8, $0xa4506ceb90befffa
DATA K<>+248(SB)/8, $0xc67178f2bef9a3f7
GLOBL K<>(SB), NOPTR|RODATA, $256
