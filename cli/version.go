package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"laminate/flatten"
)

// version is the version of the module, as the build recorded it.
func version() string {
	info, _ := debug.ReadBuildInfo()
	return buildOf(info).Version
}

// buildInfo is the information about the program that the Go toolchain recorded.
type buildInfo struct {
	Version string `json:"version"`
	// Commit is "" if the program was not built in a repository.
	Commit string `json:"commit,omitempty"`
	// Modified reports whether files differed from the commit.
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildOf reads the build information, which may be nil.
func buildOf(info *debug.BuildInfo) buildInfo {
	b := buildInfo{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	if info.GoVersion != "" {
		b.Go = info.GoVersion
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String returns the line that "laminate version" prints.
func (b buildInfo) String() string {
	parts := []string{b.Go, b.Platform}
	if b.Commit != "" {
		commit := "commit " + b.Commit[:min(12, len(b.Commit))]
		if b.Modified {
			commit += ", modified"
		}
		parts = append([]string{commit}, parts...)
	}
	return fmt.Sprintf("laminate %s (%s)", b.Version, strings.Join(parts, ", "))
}

// versionCommand is "version", which prints the same as --version.
func (r *run) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print laminate's version", UsageText: versionExamples, HideHelpCommand: true,
		Description: "It prints the version of laminate, the commit that it was built from, the version of Go, and the platform.",
		Flags:       append([]cli.Flag{outputFlag("text or json")}, commonFlags()...),
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return wrongUse(c, "unexpected argument %q", flatten.Clip(c.Args().First()))
			}
			asJSON, err := wantsJSON(c)
			if err != nil {
				return wrongUse(c, "%w", err)
			}
			return r.printVersion(asJSON)
		},
	}
}

func (r *run) printVersion(asJSON bool) error {
	info, _ := debug.ReadBuildInfo()
	b := buildOf(info)
	if asJSON {
		return standardOutput(writeJSON(r.stdout, b))
	}
	return standardOutput(write(r.stdout, b.String()+"\n"))
}

// asksVersion reports whether the command line only asks for the version. It returns the arguments
// of the version command, which keep --output.
func asksVersion(args []string) ([]string, bool) {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	if !slices.Contains(args[1:], "--version") {
		return nil, false
	}
	wanted := []string{"laminate", "version"}
	for i, a := range args {
		switch {
		case strings.HasPrefix(a, "--output="):
			wanted = append(wanted, a)
		case a == "--output" && i+1 < len(args):
			wanted = append(wanted, a, args[i+1])
		}
	}
	return wanted, true
}

// outputFlag is --output, the format of the results.
func outputFlag(formats string) cli.Flag {
	return &cli.StringFlag{Name: "output", Value: "text", Usage: "print results as `FORMAT`: " + formats}
}

// wantsJSON reports whether --output asks for JSON.
func wantsJSON(c *cli.Context) (bool, error) {
	switch format := c.String("output"); format {
	case "text":
		return false, nil
	case "json":
		return true, nil
	default:
		return false, fmt.Errorf("invalid value %q for --output; write text or json", flatten.Clip(format))
	}
}

// writeJSON prints a value, indented.
func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
