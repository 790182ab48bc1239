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
	"laminate/packager/relayer"
)

// bugError is a bug in laminate, with what a bug report needs.
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

// explain returns the text of an error, with advice.
func explain(err error) string {
	if of, ok := err.(*releaseError); ok {
		return explainRelease(of)
	}
	var many *packager.TooManyLayersError
	if errors.As(err, &many) {
		var s strings.Builder
		fmt.Fprintf(&s, "%v. The plan:\n", err)
		if err := printLayers(&s, many.Plan, engine.Outlook{}); err != nil {
			fmt.Fprintln(&s, err)
		}
		return s.String() + adviseOnLayers(many)
	}
	var over *builder.OverBudgetError
	if errors.As(err, &over) {
		return explainBudget(over)
	}
	var full *relayer.TooManyLayersError
	if errors.As(err, &full) {
		return fmt.Sprintf("%v. %s", err, adviseOnRelayer(full))
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
		lines = append(lines[:mostProblems:mostProblems], fmt.Sprintf("and %d more; fix these first", all-mostProblems))
	}
	return fmt.Sprintf("%d problems:\n   %s", all, strings.Join(lines, "\n   "))
}

// adviseOnLayers returns the options with which a package has fewer layers.
func adviseOnLayers(e *packager.TooManyLayersError) string {
	fromModes := "--flatten-layers=auto, which keeps to --max-layers, --flatten-layers, --flatten-layers=all, or --flatten-group"
	if e.Excluded == 0 && e.Mode == flatten.All {
		return "Fewer layers: larger groups."
	}
	if e.Excluded == 0 {
		return "Fewer layers: " + fromModes + "."
	}
	asked := fmt.Sprintf("--flatten-exclude asks for %s", count(e.Excluded, "layer"))
	if e.Mode == flatten.All || e.Excluded >= e.Max {
		return asked + ". Fewer layers: fewer exclusions, or larger groups."
	}
	return asked + " in every mode. Fewer layers: fewer exclusions, " + fromModes + "."
}

// adviseOnAsked returns what a builder may ask for less of.
func adviseOnAsked(e *builder.OverBudgetError) string {
	groups := e.Asked - e.Excluded
	switch {
	case e.Asked == 0 && e.Least <= flatten.Budget(true):
		return fmt.Sprintf("Raise --max-layers to %d, or use a build image with fewer layers.", e.Least)
	case e.Asked == 0:
		return "Use a build image with fewer layers."
	case groups <= 0:
		return fmt.Sprintf("--flatten-exclude asks for %s. Exclude fewer buildpacks, or use a build image with fewer layers.", count(e.Asked, "layer"))
	case e.Excluded == 0:
		return fmt.Sprintf("--flatten=REF,... asks for %s. Use fewer groups, or a build image with fewer layers.", count(e.Asked, "layer"))
	}
	return fmt.Sprintf("--flatten=REF,... asks for %s, and --flatten-exclude for %d more. Exclude fewer buildpacks, or use fewer groups, or a build image with fewer layers.", count(groups, "layer"), e.Excluded)
}

// mostProblems is the maximum number of problems in a message.
const mostProblems = 20

// linesOf returns the joined errors, each on one line: messages of other programs may have several.
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

// distinct removes duplicate lines.
func distinct(lines []string) []string {
	var kept []string
	for _, l := range lines {
		if !slices.Contains(kept, l) {
			kept = append(kept, l)
		}
	}
	return kept
}

// explainBudget describes a builder with too many layers, and suggests what to change.
func explainBudget(e *builder.OverBudgetError) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%v:\n", e)
	if err := printCount(&s, e.Layers); err != nil {
		fmt.Fprintln(&s, err)
	}
	if e.Fits == "" {
		return s.String() + fmt.Sprintf("Even with --flatten=%s it would have %d. ", flatten.All, e.Least) + adviseOnAsked(e)
	}
	return s.String() + fmt.Sprintf("With --flatten=%s it would have %d, and --flatten=%s keeps to %d.", e.Fits, e.Least, flatten.Auto, e.Layers.Budget)
}
