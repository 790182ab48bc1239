package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"laminate/builder"
	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/engine"
)

// bugError is an error of ours, told so that somebody can mend it.
type bugError struct {
	err  error
	plan func(io.Writer) error // prints it
}

func (e *bugError) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "this is a bug in laminate, not in your input; please report it with all that follows.\nThere is no output. What it built is not what it planned:\n%v\nlaminate %s, plan:\n", e.err, version())
	if err := e.plan(&s); err != nil {
		fmt.Fprintln(&s, err)
	}
	return strings.TrimSpace(s.String())
}

func (e *bugError) Unwrap() error { return e.err }

// explain gives the text of an error, and what helps with it.
func explain(err error) string {
	var many *packager.TooManyLayersError
	if errors.As(err, &many) {
		var s strings.Builder
		fmt.Fprintf(&s, "%v. The plan:\n", err)
		if err := printLayers(&s, many.Plan, engine.Outlook{}); err != nil {
			fmt.Fprintln(&s, err)
		}
		if many.Mode == flatten.All {
			return s.String() + "Fewer layers: larger groups, or fewer exclusions."
		}
		return s.String() + "Fewer layers: --flatten-layers=auto, which keeps to --max-layers, --flatten-layers, --flatten-layers=all, or --flatten-group."
	}
	var over *builder.OverBudgetError
	if errors.As(err, &over) {
		return explainBudget(over)
	}
	lines := distinct(linesOf(err))
	switch {
	case errors.As(err, new(*bugError)):
		return err.Error()
	case len(lines) == 1:
		return lines[0]
	}
	all := len(lines)
	if all > mostProblems {
		lines = append(lines[:mostProblems:mostProblems], fmt.Sprintf("and %d more; mend these first", all-mostProblems))
	}
	return fmt.Sprintf("%d problems:\n   %s", all, strings.Join(lines, "\n   "))
}

// mostProblems is how many problems a message lists.
const mostProblems = 20

// linesOf gives the errors that were joined, each on a line of its own whatever
// somebody else wrote into it.
func linesOf(err error) []string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && errors.Join(joined.Unwrap()...).Error() == err.Error() {
		var lines []string
		for _, e := range joined.Unwrap() {
			lines = append(lines, linesOf(e)...)
		}
		return lines
	}
	if wrapped := errors.Unwrap(err); wrapped != nil && wrapped.Error() == err.Error() {
		return linesOf(wrapped)
	}
	return []string{printable(err.Error())}
}

// distinct leaves out lines that were there before.
func distinct(lines []string) []string {
	var kept []string
	for _, l := range lines {
		if !slices.Contains(kept, l) {
			kept = append(kept, l)
		}
	}
	return kept
}

// explainBudget tells of a builder with too many layers, and what would help.
func explainBudget(e *builder.OverBudgetError) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%v:\n", e)
	if err := printCount(&s, e.Layers); err != nil {
		fmt.Fprintln(&s, err)
	}
	if e.Fits == "" {
		fewer := "Take a build image with fewer layers."
		if e.Asked > 0 {
			fewer = fmt.Sprintf("Take a build image with fewer layers, or ask for fewer than %d with --flatten=REF,... and --flatten-exclude.", e.Asked)
		}
		return s.String() + fmt.Sprintf("Even with --flatten=%s it would have %d. ", flatten.All, e.Least) + fewer
	}
	return s.String() + fmt.Sprintf("With --flatten=%s it would have %d, and --flatten=%s keeps to %d.", e.Fits, e.Least, flatten.Auto, e.Layers.Budget)
}
