package smoke

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"laminate/flatten"
)

const (
	// excerptLength is how much of a value is quoted in a message.
	excerptLength = 160
	// namesListed is how many names are listed in a message.
	namesListed = 6
)

// quote quotes a value of an image or a log.
func quote(s string) string {
	if len(s) > excerptLength {
		return strconv.Quote(strings.ToValidUTF8(s[:excerptLength], "")) + "…"
	}
	return strconv.Quote(s)
}

// clip returns a name as it is if it can be printed, and else quoted.
func clip(s string) string {
	if s == "" || len(s) > excerptLength || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return quote(s)
	}
	return s
}

// said returns a pattern as the file has it.
func said(p *regexp.Regexp) string {
	s := strings.TrimSuffix(strings.TrimPrefix(p.String(), "(?m:"), ")")
	return "/" + clip(s) + "/"
}

// list lists names.
func list(names []string) string {
	switch more := len(names) - namesListed; {
	case len(names) == 0:
		return "none"
	case more > 1:
		return strings.Join(names[:namesListed], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// near returns a hint for a name that is missing, or "".
func near(name string, have map[string]string) string {
	names := flatten.NearMisses(name, slices.Sorted(maps.Keys(have)))
	if len(names) == 0 {
		return ""
	}
	for i, n := range names {
		names[i] = clip(n)
	}
	return "; there is " + strings.Join(names, ", ")
}
