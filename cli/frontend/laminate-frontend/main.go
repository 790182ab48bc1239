// Command laminate-frontend builds apps with builders of buildpacks: as a front end of BuildKit and, with
// the argument step, inside of the step that runs the lifecycle.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/moby/buildkit/frontend/gateway/grpcclient"
	"github.com/moby/buildkit/util/appcontext"

	"laminate/cli/frontend"
	"laminate/cli/frontend/step"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "step" {
		os.Exit(runStep(os.Args[2:]))
	}
	if os.Getenv("BUILDKIT_SESSION_ID") == "" {
		fmt.Fprintln(os.Stderr, "laminate-frontend is a front end of BuildKit: begin a project.toml with # syntax=IMAGE, where IMAGE has this program, and build with docker build -f project.toml .")
		os.Exit(2)
	}
	if err := grpcclient.RunFromEnvironment(appcontext.Context(), frontend.Build); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runStep runs the lifecycle, and returns its exit code.
func runStep(args []string) int {
	s := step.Step{Stdout: os.Stdout, Stderr: os.Stderr}
	flags := flag.NewFlagSet("step", flag.ContinueOnError)
	flags.Func("warning", "print a `warning` first", func(text string) error { s.Warnings = append(s.Warnings, text); return nil })
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if s.Command = flags.Args(); len(s.Command) == 0 {
		fmt.Fprintln(os.Stderr, "missing command of the lifecycle")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := s.Do(ctx)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	case code != 0:
		fmt.Fprintln(os.Stderr, "error:", step.Failure(code))
	}
	return code
}
