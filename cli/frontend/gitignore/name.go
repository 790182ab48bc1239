package gitignore

import (
	"strings"
	"unicode/utf8"
)

// name is what a pattern says of one name of a path.
type name struct {
	any    bool // ** matches any number of names
	tokens []token
}

// token matches a part of a name.
type token struct {
	kind    kind
	literal byte
	negated bool // of a class
	ranges  [][2]rune
}

type kind int

const (
	literal kind = iota // the byte
	one                 // ?
	star                // *
	class               // [...]
)

// parseName parses the part of a pattern between two slashes. It reports whether it is valid.
func parseName(text string) (n name, ok bool) {
	if text == "**" {
		return name{any: true}, true
	}
	if text == "" {
		return n, false
	}
	for i := 0; i < len(text); i++ {
		t := token{kind: literal, literal: text[i]}
		switch text[i] {
		case '\\':
			if i++; i == len(text) {
				return n, false
			}
			t.literal = text[i]
		case '?':
			t.kind = one
		case '*':
			if len(n.tokens) > 0 && n.tokens[len(n.tokens)-1].kind == star {
				continue
			}
			t.kind = star
		case '[':
			end := 0
			if t, end = parseClass(text[i:]); end == 0 {
				return n, false
			}
			i += end - 1
		}
		n.tokens = append(n.tokens, t)
	}
	return n, true
}

// classes are the named classes of POSIX, for ASCII.
var classes = map[string][][2]rune{
	"alnum": {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}, "alpha": {{'A', 'Z'}, {'a', 'z'}},
	"blank": {{' ', ' '}, {'\t', '\t'}}, "cntrl": {{0, 31}, {127, 127}}, "digit": {{'0', '9'}},
	"graph": {{'!', '~'}}, "lower": {{'a', 'z'}}, "print": {{' ', '~'}},
	"punct": {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}, "space": {{'\t', '\r'}, {' ', ' '}},
	"upper": {{'A', 'Z'}}, "xdigit": {{'0', '9'}, {'A', 'F'}, {'a', 'f'}},
}

// parseClass parses a class at the beginning of the text, and returns its length, or 0 if it is invalid.
func parseClass(text string) (t token, length int) {
	t.kind = class
	i := 1
	if i < len(text) && (text[i] == '!' || text[i] == '^') {
		t.negated = true
		i++
	}
	for first := true; i < len(text); first = false {
		if text[i] == ']' && !first {
			return t, i + 1
		}
		if known, after, is := strings.Cut(text[i:], ":]"); is && strings.HasPrefix(known, "[:") {
			ranges, ok := classes[known[2:]]
			if !ok {
				return t, 0
			}
			t.ranges = append(t.ranges, ranges...)
			i = len(text) - len(after)
			continue
		}
		low, size := classRune(text[i:])
		if size == 0 {
			return t, 0
		}
		i += size
		high := low
		if i+1 < len(text) && text[i] == '-' && text[i+1] != ']' {
			if high, size = classRune(text[i+1:]); size == 0 {
				return t, 0
			}
			i += 1 + size
		}
		t.ranges = append(t.ranges, [2]rune{low, high})
	}
	return t, 0
}

// classRune reads a character of a class, and returns its length with that of a backslash before it.
func classRune(text string) (r rune, size int) {
	skipped := 0
	if strings.HasPrefix(text, `\`) {
		skipped = 1
	}
	r, size = utf8.DecodeRuneInString(text[skipped:])
	if size == 0 {
		return r, 0
	}
	return r, skipped + size
}

// match reports whether the tokens match the whole text. When a character does not match, only the last
// star is tried again, which is enough.
func (n name) match(text string) bool {
	at, pos := 0, 0
	lastStar, retry := -1, 0
	for pos < len(text) || at < len(n.tokens) {
		if at < len(n.tokens) {
			t := &n.tokens[at]
			if t.kind == star {
				lastStar, retry = at, pos
				at++
				continue
			}
			if size := t.size(text[pos:]); size > 0 {
				at, pos = at+1, pos+size
				continue
			}
		}
		if lastStar < 0 || retry >= len(text) {
			return false
		}
		_, size := utf8.DecodeRuneInString(text[retry:])
		retry += size
		at, pos = lastStar+1, retry
	}
	return true
}

// size returns how many bytes at the beginning of the text the token matches, or 0.
func (t *token) size(text string) int {
	if text == "" {
		return 0
	}
	if t.kind == literal {
		if text[0] == t.literal {
			return 1
		}
		return 0
	}
	r, size := utf8.DecodeRuneInString(text)
	if t.kind == class {
		in := false
		for _, span := range t.ranges {
			in = in || span[0] <= r && r <= span[1]
		}
		if in == t.negated {
			return 0
		}
	}
	return size
}
