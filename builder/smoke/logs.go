package smoke

import (
	"bufio"
	"errors"
	"io"
	"regexp"
	"strings"

	"laminate/packager/config"
)

// lineLimit is how much of a line counts.
const lineLimit = 64 << 10

// hit is what a pattern found in a log.
type hit struct {
	times, number int // how many lines match, and the number of the first
	line          string
}

// search looks for lines in a log, which may be of any size. A log that was not kept is empty.
func search(open OpenLog, want []config.SmokeLine) (hits []hit, err error) {
	hits = make([]hit, len(want))
	if open == nil {
		return hits, nil
	}
	rc, err := open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rc.Close()) }()
	r := bufio.NewReaderSize(rc, lineLimit)
	for number := 1; ; number++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			return hits, nil
		}
		if err != nil {
			return nil, err
		}
		for i, w := range want {
			if w.Line == nil || !w.Line.MatchString(line) {
				continue
			}
			if hits[i].times++; hits[i].times == 1 {
				hits[i].number, hits[i].line = number, strings.Clone(line[:min(len(line), 2*excerptLength)])
			}
		}
	}
}

// readLine returns the next line without colours. It skips what is beyond lineLimit.
func readLine(r *bufio.Reader) (string, error) {
	start, more, err := r.ReadLine()
	if err != nil {
		return "", err
	}
	line := plain(string(start))
	for more && err == nil {
		_, more, err = r.ReadLine()
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return line, err
}

// escapes are the sequences with which terminals are told colours.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]")

// plain returns a line without colours.
func plain(line string) string {
	if strings.Contains(line, "\x1b") {
		line = escapes.ReplaceAllString(line, "")
	}
	return strings.TrimRight(line, "\r")
}
