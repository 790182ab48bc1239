//go:build !purego

#include "go_asm.h"
#include "textflag.h"

// The registers of the loop:
//
//	R8   the next byte of the input       R9   the last place where the loop may begin
//	R10  the next bits                    R11  how many they are, in its lowest 6 bits
//	R12  the next byte of the output      R13  the limit of the output
//	BX   lit                              SI   dist
//	DI   the first byte that matches may refer to
//	CX   the current entry of a table
//	AX, DX, R15 and X0 are temporary.

// REFILL provides at least 56 bits. It reads 8 bytes, and goes on at most 7, whatever R11 is.
#define REFILL \
	SHLXQ R11, (R8), AX \
	ORQ   AX, R10       \
	MOVL  R11, AX       \
	NOTL  AX            \
	SHRL  $3, AX        \
	ANDL  $7, AX        \
	ADDQ  AX, R8        \
	ORL   $56, R11

// PEEK gets the entry for the next bits, which must be litRoot at least. It is within the root.
#define PEEK \
	MOVL R10, CX                      \
	ANDL $((1<<const_litRoot)-1), CX  \
	MOVL (BX)(CX*4), CX

// DROP drops the bits of the entry. What an entry has above bit 5 spoils only the bits of R11 that
// are not used.
#define DROP \
	SHRXQ CX, R10, R10 \
	SUBL  CX, R11

// LITERAL writes the literal of the entry, and drops it.
#define LITERAL \
	MOVL CX, AX   \
	SHRL $16, AX  \
	DROP          \
	MOVB AX, (R12) \
	INCQ R12

// VALUE sets to to the value of the entry with its extra bits, and drops them. BZHI takes 8 bits of
// CX as the count, SHRX 6 bits of to: bits 6, 7, 12 and 13 of a length or distance are zeros.
#define VALUE(to) \
	BZHIQ CX, R10, AX \
	MOVL  CX, to      \
	SHRL  $8, to      \
	SHRXQ to, AX, AX  \
	MOVL  CX, to      \
	SHRL  $16, to     \
	ADDL  AX, to      \
	DROP

// FOLLOW follows the link in the entry: it drops the bits of the root. The table that the link says,
// of as many entries as the bits it takes can tell apart, is within that of the root.
#define FOLLOW(table, root) \
	SHRQ  $root, R10  \
	SUBL  $root, R11  \
	MOVL  CX, AX      \
	SHRL  $8, AX      \
	ANDL  $15, AX     \
	BZHIQ AX, R10, AX \
	SHRL  $16, CX     \
	ADDL  CX, AX      \
	MOVL  (table)(AX*4), CX

// func loop(s *loopState)
// Requires: BMI2
TEXT ·loop(SB), NOSPLIT, $0-8
	MOVQ s+0(FP), AX
	MOVQ loopState_in(AX), R8
	MOVQ loopState_last(AX), R9
	MOVQ loopState_bits(AX), R10
	MOVQ loopState_n(AX), R11
	MOVQ loopState_out(AX), R12
	MOVQ loopState_limit(AX), R13
	MOVQ loopState_begin(AX), DI
	MOVQ loopState_lit(AX), BX
	MOVQ loopState_dist(AX), SI
	CMPQ R8, R9
	JHI  more
	REFILL
	PEEK

	// There are 56 bits at least, and the entry is that of the next symbol. Up to the next round, at
	// most one REFILL comes before the last one, and at most two literals before a match.
next:
	CMPQ  R8, R9
	JHI   more
	CMPQ  R12, R13
	JHS   more
	TESTL CX, CX
	JNS   symbol
	LITERAL
	PEEK
	TESTL CX, CX
	JNS   refill
	LITERAL
	PEEK
	TESTL CX, CX
	JNS   refill
	LITERAL
	PEEK // 23 bits are left
	REFILL
	JMP   next

refill:
	REFILL

	// A length and a distance take 48 bits at most.
symbol:
	TESTL $const_special, CX
	JNZ   special

length:
	VALUE(DX)
	MOVBLZX R10, CX
	MOVL    (SI)(CX*4), CX
	TESTL   $const_special, CX
	JNZ     far

distance:
	VALUE(R15)
	MOVQ R12, AX
	SUBQ DI, AX
	CMPQ R15, AX
	JHI  bad
	REFILL
	PEEK

	// Copy the match from AX, not before DI; DX is its end in the output, 3 bytes after R12 at least.
	// A copy begins before DX, so that it ends 15 bytes after it at most; and it is no longer than the
	// distance, so that it reads only what is written.
	MOVQ R12, AX
	SUBQ R15, AX
	ADDQ R12, DX
	CMPQ R15, $16
	JLO  near

sixteen:
	MOVOU (AX), X0
	MOVOU X0, (R12)
	ADDQ  $16, AX
	ADDQ  $16, R12
	CMPQ  R12, DX
	JLO   sixteen
	MOVQ  DX, R12
	JMP   next

near:
	CMPQ R15, $8
	JLO  nearer

eight:
	MOVQ (AX), R15
	MOVQ R15, (R12)
	ADDQ $8, AX
	ADDQ $8, R12
	CMPQ R12, DX
	JLO  eight
	MOVQ DX, R12
	JMP  next

nearer:
	CMPQ R15, $1
	JEQ  run

one:
	MOVBLZX (AX), R15
	MOVB    R15, (R12)
	INCQ    AX
	INCQ    R12
	CMPQ    R12, DX
	JLO     one
	JMP     next

run:
	MOVBLZX (AX), R15
	MOVQ    $0x0101010101010101, AX
	IMULQ   AX, R15

runs:
	MOVQ R15, (R12)
	ADDQ $8, R12
	CMPQ R12, DX
	JLO  runs
	MOVQ DX, R12
	JMP  next

far:
	TESTL $const_link, CX
	JZ    bad
	FOLLOW(SI, const_distRoot)
	TESTL $const_special, CX
	JZ    distance
	JMP   bad

special:
	TESTL $const_link, CX
	JZ    last
	FOLLOW(BX, const_litRoot)
	TESTL CX, CX
	JS    long
	TESTL $const_special, CX
	JZ    length

last:
	MOVL  CX, DX
	DROP
	TESTL $const_end, DX
	JZ    bad
	MOVQ  $const_loopDone, DX
	JMP   leave

long:
	LITERAL
	PEEK // 41 bits are left
	REFILL
	JMP  next

bad:
	MOVQ $const_loopBad, DX
	JMP  leave

more:
	MOVQ $const_loopMore, DX

leave:
	MOVQ s+0(FP), AX
	ANDQ $63, R11
	MOVQ R8, loopState_in(AX)
	MOVQ R10, loopState_bits(AX)
	MOVQ R11, loopState_n(AX)
	MOVQ R12, loopState_out(AX)
	MOVQ DX, loopState_result(AX)
	RET
