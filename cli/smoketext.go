package cli

import (
	"fmt"
	"strconv"
	"strings"

	"laminate/builder/smoke"
)

// print prints the report.
func (s *smokeRun) print(r smoke.Report) error {
	switch s.format {
	case "json":
		return writeJSON(s.stdout, r)
	case "junit":
		return r.WriteJUnit(s.stdout)
	}
	for _, a := range r.Apps {
		if _, err := fmt.Fprintf(s.stdout, "%s: %s in %.1f s\n", printable(a.App), a.Status, a.Seconds); err != nil {
			return err
		}
		if a.Status != smoke.Passed {
			for _, p := range a.Phases {
				if p.LogFile != "" {
					fmt.Fprintf(s.stdout, "   %s: the whole log is in %s\n", p.Name, printable(p.LogFile))
				}
				for line := range strings.Lines(p.Log) {
					fmt.Fprintf(s.stdout, "   %s | %s\n", p.Name, printable(strings.TrimSuffix(line, "\n"))) // the next write fails too
				}
			}
		}
		if a.Error != "" {
			fmt.Fprintf(s.stdout, "   error: %s\n", printable(a.Error))
		}
		for _, f := range a.Failures {
			fmt.Fprintf(s.stdout, "   %s\n", printable(f.Error()))
		}
		if err := s.printWrites(a); err != nil {
			return err
		}
		if a.Kept != "" {
			fmt.Fprintf(s.stdout, "   kept in %s\n", printable(a.Kept))
		}
	}
	return nil
}

// writesShown is how many writes into others' layers are printed for an app.
const writesShown = 20

// printWrites prints what buildpacks wrote into the layers of others.
func (s *smokeRun) printWrites(a smoke.Result) error {
	for i, w := range a.LayerWrites {
		if i == writesShown {
			fmt.Fprintf(s.stdout, "   warning: %d more changes in layers of other buildpacks; --output json lists all\n", len(a.LayerWrites)-i)
			break
		}
		what := "layer " + strconv.Quote(w.Layer)
		if w.Layer == "" {
			what = "the directory"
		}
		fmt.Fprintf(s.stdout, "   warning: %s %s %s, in %s of %s\n", printable(w.Buildpack), w.Change, printable(w.Path), what, printable(w.Owner))
	}
	if a.LayerWritesError == "" {
		return nil
	}
	_, err := fmt.Fprintf(s.stdout, "   warning: not all changes in layers of other buildpacks were found: %s\n", printable(a.LayerWritesError))
	return err
}
