package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Problem is something wrong (or, as a Warning, doubtful) in a file.
type Problem struct {
	File string // as its reader named it
	// Line and Column count from 1, the column in bytes. They are 0 where the
	// problem is with the file as a whole, such as a table that is not there.
	Line, Column int
	Message      string
	Warning      bool
}

// String gives file:line: message, without the line or the file where there is
// none.
func (p Problem) String() string {
	if p.File == "" {
		return p.Message
	}
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
}

// Problems is what is wrong in one or more files, in the order of the input.
type Problems []Problem

// Err is nil where there are only warnings, else an error whose text has every
// problem that is none on a line of its own.
func (ps Problems) Err() error {
	var errs []error
	for _, p := range ps {
		if !p.Warning {
			errs = append(errs, errors.New(p.String()))
		}
	}
	return errors.Join(errs...)
}

// mostWarnings is how many warnings are shown; one source has no more than 21.
const mostWarnings = 100

// Warnings returns the problems that are warnings: the first 100, and where there
// are more one that counts the others.
func (ps Problems) Warnings() []Problem {
	all := slices.DeleteFunc(slices.Clone(ps), func(p Problem) bool { return !p.Warning })
	if more := len(all) - mostWarnings; more > 0 {
		counted := "and 1 more warning"
		if more > 1 {
			counted = fmt.Sprintf("and %d more warnings", more)
		}
		all = append(all[:mostWarnings], Problem{Message: counted, Warning: true})
	}
	return all
}

// InOrder sorts the problems of one file by their place in it. Those with the
// same place stay as they were found.
func (ps Problems) InOrder() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}

// problemLimit bounds how many problems of one kind are listed of one source.
const problemLimit = 20

// Few returns the first of the errors and of the warnings about a file, and how
// many more there are.
func (ps Problems) Few() Problems {
	var kept Problems
	n := map[bool]int{}
	for _, p := range ps {
		if n[p.Warning]++; n[p.Warning] <= problemLimit {
			kept = append(kept, p)
		}
	}
	for _, warning := range []bool{false, true} {
		if more := n[warning] - problemLimit; more > 0 {
			kept = append(kept, Problem{File: ps[0].File, Message: fmt.Sprintf("and %d more", more), Warning: warning})
		}
	}
	return kept
}
