// Package gitignore matches paths against patterns as they stand in a .gitignore, which are those of
// include and exclude in a project descriptor.
//
// A pattern without a slash, or with one at its end only, matches at every depth; others are relative to
// the root. *, ? and [...] match within a name, the latter two one character, and ** matches any number of
// names. \ escapes the next character, ! negates a pattern, and # begins a comment. The last pattern that
// matches decides. A pattern that matches a directory matches all that is in it.
//
// Two rules are those of pack instead of git's, so that builds have the same files. A pattern that ends
// with a slash matches what is in the directory, and not the directory itself, which stays as an empty
// one. And a later ! brings back files of a directory that an earlier pattern matches.
//
// Matching takes time proportional to the length of the pattern times that of the path, whatever they
// are.
package gitignore

import "strings"

// Patterns are the lines of a .gitignore. The zero value matches nothing.
type Patterns struct {
	list []pattern
}

// pattern is one line.
type pattern struct {
	negative bool
	inside   bool // ends with a slash: matches only what is in it
	names    []name
}

// Parse parses the lines. Blank lines, comments and invalid patterns, such as "[", match nothing.
func Parse(lines []string) Patterns {
	var p Patterns
	for _, line := range lines {
		if one, ok := parse(line); ok {
			p.list = append(p.list, one)
		}
	}
	return p
}

func parse(line string) (p pattern, ok bool) {
	line = trimSpaces(line)
	if strings.HasPrefix(line, "#") {
		return p, false
	}
	line, p.negative = strings.CutPrefix(line, "!")
	line, p.inside = strings.CutSuffix(line, "/")
	if line == "" {
		return p, false
	}
	parts := strings.Split(line, "/")
	if len(parts) == 1 {
		parts = []string{"**", line}
	}
	if parts[0] == "" { // the slash only anchors
		parts = parts[1:]
	}
	for i, part := range parts {
		n, ok := parseName(part)
		if !ok {
			return p, false
		}
		if n.any && i == len(parts)-1 { // not the directory itself, and the rest follows from it
			n = name{tokens: []token{{kind: star}}}
		}
		p.names = append(p.names, n)
	}
	return p, true
}

// trimSpaces removes spaces at the end that no backslash keeps.
func trimSpaces(line string) string {
	for strings.HasSuffix(line, " ") && !escaped(line[:len(line)-1]) {
		line = line[:len(line)-1]
	}
	return line
}

// escaped reports whether what follows the text is escaped by a backslash at its end.
func escaped(text string) bool {
	return (len(text)-len(strings.TrimRight(text, `\`)))%2 == 1
}

// Match reports whether the last pattern that matches the path, or a directory above it, is not
// negative. The path is relative and clean, and has slashes.
func (p Patterns) Match(path string) bool {
	names := strings.Split(path, "/")
	for i := len(p.list) - 1; i >= 0; i-- {
		one := &p.list[i]
		at, _ := one.run(names)
		if at > 0 && (at < len(names) || !one.inside) {
			return !one.negative
		}
	}
	return false
}

// Verdict is what is known of all that is in a directory.
type Verdict int

// Verdicts.
const (
	Some Verdict = iota // has to be matched path by path
	All                 // matches
	None                // does not match
)

// In returns what the patterns say of all that may be in the directory.
func (p Patterns) In(dir string) Verdict {
	names := strings.Split(dir, "/")
	mayMatch, mayNot := false, false // by patterns that may match below
	for i := len(p.list) - 1; i >= 0; i-- {
		one := &p.list[i]
		at, live := one.run(names)
		switch {
		case at > 0 && one.negative && !mayMatch:
			return None
		case at > 0 && !one.negative && !mayNot:
			return All
		case at > 0:
			return Some
		case live && one.negative:
			mayNot = true
		case live:
			mayMatch = true
		}
	}
	if mayMatch {
		return Some
	}
	return None
}

// run matches the pattern against the names, one after the other. It returns after how many of them the
// pattern matched first, or 0, and whether it may match with more names.
func (p *pattern) run(names []string) (at int, live bool) {
	// states[i] says that the first i names of the pattern have matched.
	states := make([]bool, len(p.names)+1)
	states[0] = true
	p.skip(states)
	for i, n := range names {
		next := make([]bool, len(states))
		live = false
		for s := range p.names {
			if !states[s] {
				continue
			}
			if p.names[s].any {
				next[s], live = true, true
			} else if p.names[s].match(n) {
				next[s+1], live = true, true
			}
		}
		p.skip(next)
		if next[len(p.names)] {
			return i + 1, true
		}
		if !live {
			return 0, false
		}
		states = next
	}
	return 0, live
}

// skip lets each ** match no name.
func (p *pattern) skip(states []bool) {
	for s, n := range p.names {
		if states[s] && n.any {
			states[s+1] = true
		}
	}
}
