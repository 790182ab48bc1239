package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Problem is an error, or a warning, about a place in a file.
type Problem struct {
	File string // as its reader named it
	// Line and Column count from 1, the column in bytes. They are 0 for a problem of the whole
	// file, such as a missing table.
	Line, Column int
	Message      string
	Warning      bool
	// Cause is the error that Message quotes; nil where there is none.
	Cause error
}

// Error returns file:line: message, without the parts that are not set.
func (p Problem) Error() string {
	if p.File == "" {
		return p.Message
	}
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
}

// Unwrap returns the cause, if any.
func (p Problem) Unwrap() error { return p.Cause }

// Problems lists the problems of one or more files, in the order of the input.
type Problems []Problem

// Err joins the problems that are not warnings (see [errors.Join]); it returns nil if there are
// none.
func (ps Problems) Err() error {
	var errs []error
	for _, p := range ps {
		if !p.Warning {
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}

// mostWarnings is how many warnings are reported. A single source has at most 21 (see [Problems.Few]).
const mostWarnings = 100

// Warnings returns the warnings: the first 100, and if there are more, one that counts the rest.
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

// InOrder sorts the problems of one file by position, in place. The sort is stable.
func (ps Problems) InOrder() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}

// problemLimit is how many errors, and how many warnings, are listed for one source.
const problemLimit = 20

// Few returns the first errors and the first warnings about a file, each followed by a count of the
// rest.
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
