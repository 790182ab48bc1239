package update

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"laminate/packager/config"
)

// constraint is the content of a comment "# laminate: ...". The zero value allows everything.
type constraint struct {
	text   string
	pin    bool
	ranges *semver.Constraints
}

var (
	// directive matches a comment with a constraint, at its beginning or after a tag.
	directive = regexp.MustCompile(`(?i)^#+\s*(?:v?[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.-]*[\s,;]+)?laminate:\s*([^#]*)`)
	// prerelease matches a range with a pre-release.
	prerelease = regexp.MustCompile(`[0-9]-[0-9A-Za-z]`)
	// noColon matches a constraint whose colon was forgotten.
	noColon = regexp.MustCompile(`(?i)^#+\s*laminate\s*[ =]\s*(pin|[~^<>=]+\s*v?[0-9.*x]+|v?[0-9]+(\.[0-9x*]+)*)\s*(#|$)`)
)

// parseConstraint parses a comment, and returns false if it has no constraint.
func parseConstraint(comment string) (constraint, bool, error) {
	m := directive.FindStringSubmatch(comment)
	if m == nil {
		if m := noColon.FindStringSubmatch(comment); m != nil {
			return constraint{}, true, fmt.Errorf("the colon is missing in %q; write # laminate: %s", comment, m[1])
		}
		return constraint{}, false, nil
	}
	text := strings.TrimSpace(m[1])
	switch text {
	case "":
		return constraint{}, true, fmt.Errorf("the constraint is missing in %q; write a range, such as ~1.2, or pin", comment)
	case "pin":
		return constraint{text: text, pin: true}, true, nil
	}
	ranges, err := semver.NewConstraint(text)
	if err != nil {
		return constraint{}, true, fmt.Errorf("invalid constraint %q; write pin, or a range, such as ~1.2, ^1 or >=1.2 <2", text)
	}
	return constraint{text: text, ranges: ranges}, true, nil
}

// contains reports whether the ranges contain a version. A pre-release is where its release is,
// unless the ranges name pre-releases.
func (c constraint) contains(v version) bool {
	ranges := *c.ranges
	ranges.IncludePrerelease = true
	core := *v.core
	if !prerelease.MatchString(c.text) {
		core, _ = core.SetPrerelease("") // valid
	}
	return ranges.Check(&core)
}

// comments are the comments of a file, with their constraints.
type comments struct {
	doc     config.Doc
	file    string
	at      map[int]*note // by line
	invalid config.Problems
}

// note is a comment.
type note struct {
	config.Comment
	constraint
	limits  bool // has a constraint
	used    bool
	limited int // references
}

func newComments(file string, doc config.Doc) *comments {
	c := &comments{doc: doc, file: file, at: map[int]*note{}}
	for _, comment := range doc.Comments() {
		n := &note{Comment: comment}
		var err error
		n.constraint, n.limits, err = parseConstraint(comment.Text)
		if err != nil {
			c.invalid = append(c.invalid, config.Problem{File: file, Line: comment.Line, Message: err.Error()})
			n.used = true
		}
		c.at[comment.Line] = n
	}
	return c
}

// of returns the comment that limits a value: the nearest to it, or to the headers that it is below.
// It returns an empty comment if there is none.
func (c *comments) of(value config.Text, headers ...int) *note {
	var found *note
	for _, line := range append([]int{value.LastLine, value.Line}, headers...) {
		near := c.near(line)
		if found == nil {
			found = near
		}
	}
	if found == nil {
		found = &note{}
	}
	found.limited++
	return found
}

// near returns the comment with a constraint on a line, or in the comments directly above it.
func (c *comments) near(line int) (found *note) {
	if n := c.at[line]; n != nil && n.limits {
		n.used = true
		found = n
	}
	for line--; c.at[line] != nil && c.at[line].Alone; line-- {
		if n := c.at[line]; n.limits {
			n.used = true
			if found == nil {
				found = n
			}
		}
	}
	return found
}

// unused returns a problem for each constraint that limits nothing.
func (c *comments) unused() (problems config.Problems) {
	for _, n := range c.at {
		if n.limits && !n.used {
			problems = append(problems, config.Problem{File: c.file, Line: n.Line, Message: fmt.Sprintf(
				"the constraint %q applies to nothing; write it on the line of a reference, directly above it, or at the header of its table", n.text)})
		}
	}
	return problems
}
