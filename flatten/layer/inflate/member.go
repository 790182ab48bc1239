package inflate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/gzip"
)

// The flags of a member's header (RFC 1952, section 2.3.1).
const (
	flagHeaderCRC = 1 << (iota + 1)
	flagExtra
	flagName
	flagComment
)

// maxString is the maximum length of names and comments, including the terminating zero, as in the
// standard library.
const maxString = 512

// plainHeader is the header of every member that a Cutter writes: without name and time, like
// laminate's own.
var plainHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}

// isMember reports whether a member follows, or the end of the stream. It consumes nothing.
func (in *input) isMember() bool {
	for len(in.buf)-in.pos < 2 && in.more() {
	}
	next := in.buf[in.pos:]
	return bytes.HasPrefix(plainHeader, next[:min(2, len(next))])
}

// header reads a member's header. It returns io.EOF at the end of the stream.
func (in *input) header() error {
	var p [512]byte
	if err := in.bytes(p[:10]); err != nil {
		return err
	}
	if p[0] != plainHeader[0] || p[1] != plainHeader[1] || p[2] != plainHeader[2] {
		return gzip.ErrHeader
	}
	flags, crc := p[3], crc32.ChecksumIEEE(p[:10])
	if flags&flagExtra != 0 {
		if err := in.bytes(p[:2]); err != nil {
			return noEOF(err)
		}
		crc = crc32.Update(crc, crc32.IEEETable, p[:2])
		for rest := int(binary.LittleEndian.Uint16(p[:])); rest > 0; {
			part := p[:min(rest, len(p))]
			if err := in.bytes(part); err != nil {
				return noEOF(err)
			}
			crc = crc32.Update(crc, crc32.IEEETable, part)
			rest -= len(part)
		}
	}
	for _, flag := range []byte{flagName, flagComment} {
		if flags&flag == 0 {
			continue
		}
		var err error
		if crc, err = in.skipString(crc); err != nil {
			return err
		}
	}
	if flags&flagHeaderCRC != 0 {
		if err := in.bytes(p[:2]); err != nil {
			return noEOF(err)
		}
		if binary.LittleEndian.Uint16(p[:]) != uint16(crc) {
			return gzip.ErrHeader
		}
	}
	return nil
}

// skipString reads up to a zero byte, and returns the updated checksum.
func (in *input) skipString(crc uint32) (uint32, error) {
	var p [1]byte
	for range maxString {
		if err := in.bytes(p[:]); err != nil {
			return 0, noEOF(err)
		}
		crc = crc32.Update(crc, crc32.IEEETable, p[:])
		if p[0] == 0 {
			return crc, nil
		}
	}
	return 0, gzip.ErrHeader
}

// footer reads and verifies a member's footer.
func (in *input) footer(crc, size uint32) error {
	in.align()
	var p [8]byte
	if err := in.bytes(p[:]); err != nil {
		return noEOF(err)
	}
	if binary.LittleEndian.Uint32(p[:]) != crc || binary.LittleEndian.Uint32(p[4:]) != size {
		return gzip.ErrChecksum
	}
	return nil
}

func appendFooter(b []byte, crc, size uint32) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, crc), size)
}

// noEOF turns io.EOF into io.ErrUnexpectedEOF.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
