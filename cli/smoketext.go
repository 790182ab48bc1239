package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"laminate/builder/smoke"
)

// print prints the report.
func (s *smokeRun) print(r smoke.Report) error {
	switch s.format {
	case "json":
		return writeJSON(s.stdout, r.Rounded())
	case "junit":
		return r.WriteJUnit(s.stdout)
	}
	for _, a := range r.Apps[s.printed:] {
		if err := s.printApp(a); err != nil {
			return err
		}
	}
	return nil
}

// printApp prints the result of an app in the text form.
func (s *smokeRun) printApp(a smoke.Result) error {
	if _, err := fmt.Fprintf(s.stdout, "%s: %s in %.1f s\n", printable(a.App), a.Status, a.Seconds); err != nil {
		return err
	}
	if a.Status != smoke.Passed {
		for _, p := range a.Phases {
			if p.LogFile != "" {
				fmt.Fprintf(s.stdout, "   %s: the whole log is in %s\n", p.Name, printable(p.LogFile))
			}
			for line := range strings.Lines(p.Log) {
				fmt.Fprintf(s.stdout, "   %s | %s\n", p.Name, shown(line)) // the next write fails too
			}
		}
	}
	if a.Error != "" {
		for line := range strings.SplitSeq(a.Error, "\n") {
			fmt.Fprintf(s.stdout, "   error: %s\n", printable(line))
		}
	}
	for _, f := range a.Failures {
		fmt.Fprintf(s.stdout, "   %s\n", printable(f.Error()))
	}
	if s.layout.Path != "" && a.Image != "" && a.Status != smoke.Broken {
		fmt.Fprintf(s.stdout, "   %s is in %s\n", a.Image, printable(s.layout.String()))
	}
	if err := s.printTwice(a.Twice); err != nil {
		return err
	}
	for _, w := range a.Warnings {
		if _, err := fmt.Fprintf(s.stdout, "   warning: %s\n", printable(w)); err != nil {
			return err
		}
	}
	if a.Kept != "" {
		fmt.Fprintf(s.stdout, "   kept in %s\n", printable(a.Kept))
	}
	if a.Root != "" {
		fmt.Fprintf(s.stdout, "   the builder's root file system is in %s\n", printable(a.Root))
	}
	return nil
}

// shown returns a line of a log as a terminal leaves it: of what a program writes over, as progress
// bars do, the last is shown.
func shown(line string) string {
	line = strings.TrimRight(line, "\r\n")
	return printable(line[strings.LastIndexByte(line, '\r')+1:])
}

// outcomes are what became of a layer in the second build, for people.
var outcomes = map[smoke.LayerOutcome]string{
	smoke.ReusedLayer: "reused", smoke.SameLayer: "built again, the same", smoke.DifferentLayer: "built again, different",
	smoke.NewLayer: "only in the second build", smoke.GoneLayer: "only in the first build",
}

// printTwice prints what became of the layers of buildpacks and of the app in the second build.
func (s *smokeRun) printTwice(t *smoke.Twice) error {
	if t == nil {
		return nil
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, l := range t.Layers {
		if l.Buildpack == "" && (l.Outcome == smoke.SameLayer || l.Outcome == smoke.ReusedLayer) {
			continue // what the lifecycle makes, and is as expected
		}
		fmt.Fprintf(w, "   %s\t%s\t%s\n", printable(l.String()), bytes(l.Bytes), outcomes[l.Outcome]) // Flush returns errors
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(s.stdout, table.String())
	return err
}
