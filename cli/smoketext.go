package cli

import (
	"fmt"
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
		for _, w := range a.Warnings {
			if _, err := fmt.Fprintf(s.stdout, "   warning: %s\n", printable(w)); err != nil {
				return err
			}
		}
		if a.Kept != "" {
			fmt.Fprintf(s.stdout, "   kept in %s\n", printable(a.Kept))
		}
	}
	return nil
}
