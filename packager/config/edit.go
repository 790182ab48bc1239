package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Edit replaces the bytes of a file from Start up to End.
type Edit struct {
	Start, End int
	New        string
}

// Replace returns the edit that gives a string another value, within the same quotes. Where the
// value is written without escapes, everything else within the quotes stays as well. It refuses
// values that would need escapes.
func (t Text) Replace(value string) (Edit, error) {
	if strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(`"'\`, r) }) {
		return Edit{}, fmt.Errorf("%s cannot be written without escapes", quote(value))
	}
	quotes := t.quotes()
	start, end := t.Start+quotes, t.End-quotes
	inner := t.raw[quotes : len(t.raw)-quotes]
	escapes := t.raw[0] == '"' && strings.Contains(inner, `\`)
	if at := strings.Index(inner, t.Value); t.Value != "" && at >= 0 && !escapes {
		start += at
		end = start + len(t.Value)
	}
	return Edit{Start: start, End: end, New: value}, nil
}

// quotes returns the number of quotes on each side.
func (t Text) quotes() int {
	if len(t.raw) >= 6 && (strings.HasPrefix(t.raw, `"""`) || strings.HasPrefix(t.raw, `'''`)) {
		return 3
	}
	return 1
}

// Apply returns data with the edits, which may be in any order and must not overlap.
func Apply(data []byte, edits []Edit) ([]byte, error) {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b Edit) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End)) })
	var out []byte
	at := 0
	for _, e := range edits {
		if e.Start < at || e.End < e.Start || e.End > len(data) {
			return nil, fmt.Errorf("conflicting edits of bytes %d to %d", e.Start, e.End)
		}
		out = append(append(out, data[at:e.Start]...), e.New...)
		at = e.End
	}
	return append(out, data[at:]...), nil
}
