package smoke

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"

	"laminate/builder/lifecycle"
	"laminate/packager/config"
	"laminate/packager/image"
)

// Outcome is what came of a build, and of a launch of its app image.
type Outcome struct {
	// ExitCode is that of the lifecycle.
	ExitCode int
	// Log opens what the lifecycle printed; nil if that was not kept.
	Log OpenLog
	// App is the image that the build exported; nil if there is none.
	App *image.Image
	// Launch is what came of the launch; nil if nothing was launched.
	Launch *Launched
}

// OpenLog opens a log for reading. The caller must close it.
type OpenLog func() (io.ReadCloser, error)

// Launched is what came of the launch of a process.
type Launched struct {
	// Err is why the process did not start; nil if it did.
	Err error
	// Ended reports whether the process ended by itself, with ExitCode.
	Ended    bool
	ExitCode int
	// Env is its environment as it was executed, NAME=VALUE each, and NoEnv why there is none.
	Env   []string
	NoEnv error
	// Log opens what it printed; nil if that was not kept.
	Log OpenLog
	// Answer is its last answer (see [Ask]), and NoAnswer why there is none.
	Answer   *Answer
	NoAnswer error
}

// Failure is an expectation that is not met.
type Failure struct {
	// File and Line are the place of the expectation; empty for one that is in no file, such as
	// that a build ends well.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Message says what was found, and what was expected.
	Message string `json:"message"`
}

// Error returns file:line: message.
func (f Failure) Error() string {
	return config.Problem{File: f.File, Line: f.Line, Message: f.Message}.Error()
}

// Check returns all expectations that are not met, in the order of their file. Of a build that
// failed although it should not have, it checks only the log.
//
// It reads the layers of the app image only if files are expected. An image that cannot be read is a
// failure as well.
func Check(ctx context.Context, want config.Smoke, o Outcome) []Failure {
	c := checker{Smoke: want}
	if o.ExitCode != want.ExitCode {
		c.fail(fmt.Sprintf("build ended with exit code %s; expected %d", exitCode(o.ExitCode), want.ExitCode), "build", "exit-code")
	}
	c.lines("build", want.Logs, o.Log, "logs")
	if o.ExitCode == 0 && want.ExitCode == 0 {
		if o.App == nil {
			c.fail("build ended with exit code 0, but exported no image")
		} else {
			c.app(ctx, o.App)
			c.launch(o.App, o.Launch)
		}
	}
	slices.SortStableFunc(c.failures, func(a, b Failure) int { return cmp.Compare(a.Line, b.Line) })
	return c.failures
}

// exitCode formats an exit code of the lifecycle.
func exitCode(code int) string {
	if means := lifecycle.ExitCode(code); means != "" {
		return fmt.Sprintf("%d (%s)", code, means)
	}
	return fmt.Sprint(code)
}

// checker collects failures.
type checker struct {
	config.Smoke
	failures []Failure
}

// fail adds a failure of the expectation at the path (see [config.Doc.Has]).
func (c *checker) fail(message string, path ...any) {
	p := c.Problem(message, path...)
	c.failures = append(c.failures, Failure{File: p.File, Line: p.Line, Message: p.Message})
}

// app checks an app image.
func (c *checker) app(ctx context.Context, app *image.Image) {
	labels, err := app.AppLabels()
	if err != nil {
		c.fail(err.Error())
	}
	c.group(labels.Build)
	c.processes(labels.Build, app.Config.Config.Entrypoint)
	c.values("label", c.Labels, app.Config.Config.Labels, "labels")
	if len(c.Files) == 0 {
		return
	}
	var all []wanted
	for _, f := range c.Files {
		all = append(all, wanted{f.Path, f.Content})
	}
	there, err := readFiles(ctx, app.Contents(), all)
	if err != nil {
		c.fail("files of the app image cannot be read: "+err.Error(), "files")
		return
	}
	for i, f := range c.Files {
		c.file(there, f, "files", i)
	}
}

// values checks labels or the environment of a process.
func (c *checker) values(what string, want []config.SmokeValue, have map[string]string, path ...any) {
	for i, w := range want {
		here := append(slices.Clone(path), i)
		value, there := have[w.Name]
		switch {
		case w.Absent && there && (w.Value == nil || w.Value.MatchString(value)):
			c.fail(fmt.Sprintf("%s %s is %s; expected %s", what, clip(w.Name), quote(value), without(w.Value)), here...)
		case w.Absent:
		case !there:
			c.fail(fmt.Sprintf("there is no %s %s%s", what, clip(w.Name), near(w.Name, have)), here...)
		case w.Value != nil && !w.Value.MatchString(value):
			c.fail(fmt.Sprintf("%s %s is %s; expected one that matches %s", what, clip(w.Name), quote(value), said(w.Value)), append(here, "value")...)
		}
	}
}

// without says that nothing of the pattern, or nothing at all, is expected.
func without(pattern *regexp.Regexp) string {
	if pattern == nil {
		return "none"
	}
	return "none that matches " + said(pattern)
}
