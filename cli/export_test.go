package cli

import (
	"context"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8"

	"laminate/builder/release"
	"laminate/builder/smoke"
	"laminate/packager/progress"
)

// ProgressLine returns the left and right parts of a progress line.
func ProgressLine(verb, name string, columns int, current, total int64) (left, right string) {
	return label(progress.Verb(verb), name, columns, total), sizes(current, total, columns)
}

// SmokeText returns the text of a smoke test.
func SmokeText(r smoke.Report) (string, error) {
	var out strings.Builder
	s := &smokeRun{session: session{run: &run{stdout: &out}}, format: "text"}
	err := s.print(r)
	return out.String(), err
}

// Lines is what a run without a terminal prints.
type Lines struct{ *ui }

// LinesOf prints to out, and takes every value of seconds for a second.
func LinesOf(out io.Writer, seconds <-chan time.Time) Lines {
	s := &ui{out: out, lines: &syncWriter{w: out}, begun: time.Now(), tally: tally{fates: map[string]*fate{}}}
	s.startPulse(seconds)
	return Lines{s}
}

// End ends the output.
func (l Lines) End() { l.end() }

// Sum prints what the run came to.
func (l Lines) Sum() { l.sum() }

// VersionLine is what "laminate version" prints of a build.
func VersionLine(info *debug.BuildInfo) string { return buildOf(info).String() }

// JSONDocuments are the types of what --output json prints.
func JSONDocuments() []any { return []any{planJSON{}, resultJSON{}, buildInfo{}} }

// CommandPaths are all commands, hidden ones included: "" is laminate itself.
func CommandPaths() []string { return commandPaths("", (&run{}).app().Commands) }

func commandPaths(path string, commands []*cli.Command) []string {
	paths := []string{path}
	for _, c := range commands {
		paths = append(paths, commandPaths(strings.TrimSpace(path+" "+c.Name), c.Subcommands)...)
	}
	return paths
}

// InRelease returns a message with the words of release.toml.
func InRelease(message string) string { return inRelease(message) }

// ReleaseNotes returns the release notes of a report.
func ReleaseNotes(r *release.Report) string { return releaseNotes(r) }

// BarsOf is what a run on a terminal prints.
func BarsOf(ctx context.Context, out io.Writer) Lines {
	s := &ui{out: out, lines: &syncWriter{w: out}, begun: time.Now(), tally: tally{fates: map[string]*fate{}}}
	s.bars = mpb.NewWithContext(ctx, mpb.WithOutput(out), mpb.WithAutoRefresh())
	s.lines.become(s.bars)
	return Lines{s}
}
