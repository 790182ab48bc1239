//go:build linux && amd64 && !purego

package inflate_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"laminate/flatten/layer/inflate"
)

// A loop is a way to decode many symbols, up to a limit of the output.
type loop func(d *inflate.Decoder, limit int) (done bool, err error)

// stepwise is what one stream gives by a loop, and by one symbol at a time.
type stepwise struct {
	got, want *inflate.Decoder
	fast      loop
	rnd       *rand.Rand
	limit     int // the last limit there can be
}

// lockstep decodes a stream by a loop, with a limit that is reached anywhere, in these buffers,
// where the content begins after some bytes of the output. It decodes the same one symbol at a time,
// and compares output, error, place and bits whenever the loop returns.
func lockstep(rnd *rand.Rand, fast loop, in, out []byte, begin int) error {
	for i := range begin {
		out[i] = byte(i)
	}
	s := stepwise{
		got:  inflate.NewDecoder(in, out, begin),
		want: inflate.NewDecoder(bytes.Clone(in), bytes.Clone(out), begin),
		fast: fast, rnd: rnd, limit: len(out) - inflate.Slack,
	}
	for !s.want.Final() {
		kind, err := s.got.Block()
		wantKind, wantErr := s.want.Block()
		if diff := s.compare(kind == wantKind, err, wantErr); diff != nil || err != nil {
			return diff
		}
		for done := false; !done; {
			if room := s.room(kind == 0); !room {
				return nil
			}
			if done, err = s.step(kind); err != nil {
				if err == errSame {
					return nil
				}
				return err
			}
		}
	}
	return nil
}

// room makes room, and reports whether there is any.
func (s *stepwise) room(stored bool) bool {
	if stored || len(s.got.Decoded()) >= s.limit {
		s.got.Slide()
		s.want.Slide()
	}
	end := len(s.got.Decoded())
	return end < s.limit && (!stored || s.limit-end >= 1<<16)
}

// errSame is the error of step if the stream has an error, the same to both.
var errSame = fmt.Errorf("both found the same error")

func (s *stepwise) step(kind int) (done bool, err error) {
	var wantDone bool
	var wantErr error
	if kind == 0 {
		done, err = s.got.CopyStored()
		wantDone, wantErr = s.want.CopyStored()
	} else {
		from, end := s.got.Offset(), len(s.got.Decoded())
		limit := min(s.limit, end+1+s.rnd.IntN(1<<s.rnd.IntN(17)))
		done, err = s.fast(s.got, limit)
		if over := len(s.got.Decoded()) - limit; over > 2+258-1 {
			return false, fmt.Errorf("%d bytes beyond the limit", over)
		}
		if from == s.got.Offset() && !done && err == nil {
			done, err = s.got.Careful()
		}
		for !wantDone && wantErr == nil && (done || err != nil || s.want.Offset() < s.got.Offset()) {
			wantDone, wantErr = s.want.Careful()
		}
	}
	if diff := s.compare(done == wantDone, err, wantErr); diff != nil {
		return false, diff
	}
	if err != nil {
		return false, errSame
	}
	return done, nil
}

// compare compares the states and these results, and describes the difference.
func (s *stepwise) compare(same bool, err, want error) error {
	switch {
	case !same || fmt.Sprint(err) != fmt.Sprint(want):
		return fmt.Errorf("after %d bytes: %v, want %v, or another end", s.want.Total(), err, want)
	case s.got.Offset() != s.want.Offset() || s.got.Total() != s.want.Total():
		return fmt.Errorf("%d bits give %d bytes, but %d give %d", s.got.Offset(), s.got.Total(), s.want.Offset(), s.want.Total())
	case !bytes.Equal(s.got.Decoded(), s.want.Decoded()):
		return fmt.Errorf("another content before %d", s.want.Total())
	}
	return s.got.CheckBits()
}
