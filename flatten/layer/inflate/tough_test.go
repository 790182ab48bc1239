package inflate_test

import (
	"math/rand/v2"
)

// toughCode is a random code that has some symbols, if it has so many.
func toughCode(rnd *rand.Rand, n int, must ...int) code {
	lengths := randomCode(rnd, n).lengths
	rnd.Shuffle(n, func(i, j int) { lengths[i], lengths[j] = lengths[j], lengths[i] })
	for i, symbol := range must {
		for tries := 0; lengths[symbol] == 0 && tries < 10*n; tries++ {
			other := rnd.IntN(n)
			taken := false
			for _, m := range must[:i] {
				taken = taken || m == other
			}
			if !taken {
				lengths[symbol], lengths[other] = lengths[other], lengths[symbol]
			}
		}
	}
	return newCode(lengths)
}

// extraBits returns how many bits follow a length, or a distance, and what both make of zeros.
func extraBits(symbol int) (k, base int) {
	if symbol == 285 {
		return 0, 258
	}
	base = 3
	for i := 257; i < symbol; i++ {
		base += 1 << max(0, (i-261)/4)
	}
	return max(0, (symbol-261)/4), base
}

func backBits(symbol int) (k, base int) {
	base = 1
	for i := range symbol {
		base += 1 << max(0, (i-2)/2)
	}
	return max(0, (symbol-2)/2), base
}

// toughMatch writes a match of any length from one of the distances that matter: near ones, the
// farthest there is, and all that was made; with bad, from beyond it as well. It writes nothing if
// the codes have no such symbols.
func (b *blocks) toughMatch(rnd *rand.Rand, lit, dist code, bad bool) {
	length := 257 + rnd.IntN(29)
	if rnd.IntN(3) == 0 {
		length = 285
	}
	back := []int{1 + rnd.IntN(40), b.made, 32 << 10, 1 + rnd.IntN(32<<10), b.made - rnd.IntN(3)}[rnd.IntN(5)]
	if bad && rnd.IntN(200) == 0 {
		back = b.made + 1 + rnd.IntN(3)
	}
	if back < 1 || back > 32<<10 || back > b.made && !bad {
		back = 1
	}
	symbol := 0
	for symbol < 29 {
		if _, base := backBits(symbol + 1); base > back {
			break
		}
		symbol++
	}
	if b.made == 0 && !bad || length >= len(lit.lengths) || lit.lengths[length] == 0 ||
		symbol >= len(dist.lengths) || dist.lengths[symbol] == 0 {
		return
	}
	k, base := extraBits(length)
	extra := rnd.IntN(1 << k)
	if rnd.IntN(2) == 0 {
		extra = 1<<k - 1
	}
	b.symbol(lit, length)
	b.put(uint(extra), k)
	b.made += base + extra
	k, base = backBits(symbol)
	b.symbol(dist, symbol)
	b.put(uint(back-base), k)
}

// toughCodes begins a block with fixed codes, or with such that are as deep as can be, lack
// distances, or are no codes at all.
func (b *blocks) toughCodes(rnd *rand.Rand, last, bad bool) (lit, dist code) {
	if rnd.IntN(4) == 0 {
		b.head(last, 1)
		return fixedCodes()
	}
	lit = toughCode(rnd, 286, 256, 285, rnd.IntN(256), 257+rnd.IntN(28), rnd.IntN(256), 257+rnd.IntN(28))
	dist = toughCode(rnd, 30, 0, 29, rnd.IntN(30), rnd.IntN(30))
	switch rnd.IntN(8) {
	case 0:
		lengths := make([]int, 30)
		lengths[rnd.IntN(30)] = 1
		dist = newCode(lengths)
	case 1:
		dist = newCode([]int{0})
	case 2:
		if bad {
			for _, c := range []code{lit, dist}[rnd.IntN(2):] {
				c.lengths[rnd.IntN(len(c.lengths))] = rnd.IntN(16)
			}
		}
	}
	b.dynamic(last, lit, dist)
	return lit, dist
}

// undefined writes what no code has: a length or distance that is not defined, or any bits.
func (b *blocks) undefined(rnd *rand.Rand, lit, dist code) {
	switch {
	case len(lit.lengths) < 288 || rnd.IntN(3) == 0:
		b.put(rnd.Uint(), rnd.IntN(30))
	case rnd.IntN(2) == 0:
		b.symbol(lit, 286+rnd.IntN(2))
	default:
		b.symbol(lit, 257)
		b.symbol(dist, 30+rnd.IntN(2))
	}
}

// tough is a stream of blocks that go to the limits of what there can be, and with bad beyond them.
func tough(rnd *rand.Rand, bad bool) []byte {
	var b blocks
	for i := rnd.IntN(4); i >= 0; i-- {
		lit, dist := b.toughCodes(rnd, i == 0, bad)
		matches := rnd.IntN(10)
		for range rnd.IntN(1 << rnd.IntN(13)) {
			switch symbol := rnd.IntN(256); {
			case rnd.IntN(10) < matches:
				b.toughMatch(rnd, lit, dist, bad)
			case lit.lengths[symbol] > 0:
				b.symbol(lit, symbol)
				b.made++
			}
			if bad && rnd.IntN(500) == 0 {
				b.undefined(rnd, lit, dist)
			}
		}
		b.symbol(lit, 256)
	}
	if bad {
		for range rnd.IntN(5) {
			b.out[rnd.IntN(len(b.out))] ^= 1 << rnd.IntN(8)
		}
		for range rnd.IntN(2) * rnd.IntN(2000) {
			b.out = append(b.out, byte(rnd.Uint32()))
		}
	}
	return append(b.out, make([]byte, rnd.IntN(2)*rnd.IntN(60))...)
}
