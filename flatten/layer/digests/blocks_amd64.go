//go:build !purego

package digests

import (
	"crypto/fips140"

	"golang.org/x/sys/cpu"
)

// hasBlocks reports whether the processor has what blocks needs. In FIPS 140 mode only the standard
// library's module may hash.
var hasBlocks = cpu.X86.HasSSSE3 && cpu.X86.HasSSE41 && extensions()&(1<<29) != 0 && !fips140.Enabled()

// blocks hashes the whole blocks in p into both states.
//
//go:noescape
func blocks(a, b *[8]uint32, p []byte)

func extensions() (ebx uint32)
