package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"laminate/flatten"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong use: nothing was tried
)

// Run is the program: it runs the command that args name (args[0] is the
// program's own name) and gives the exit code. It reads the environment
// through env only, and ends soon after ctx does.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, env func(string) string) int {
	r := &run{stdout: stdout, stderr: stderr, env: env}
	app := r.app()
	if asksVersion(args) {
		fmt.Fprintln(stdout, "laminate", version())
		return exitDone
	}
	err := app.RunContext(ctx, interspersed(app, args))
	var usage *usageError
	var kept *keptError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "laminate: %s\nSee: laminate %s--help\n", explain(err), usage.command)
		return exitUsage
	case ctx.Err() != nil && errors.As(err, &kept):
		fmt.Fprintf(stderr, "laminate: interrupted; %s\n", printable(kept.note))
	case isClosedPipe(err):
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "laminate: interrupted; there is no output")
	default:
		fmt.Fprintf(stderr, "laminate: %s\n", explain(err))
	}
	return exitFailed
}

// isClosedPipe tells whether nobody reads standard output any more, which who
// closed it knows.
func isClosedPipe(err error) bool {
	var at *fs.PathError
	return errors.As(err, &at) && at.Path == os.Stdout.Name() && errors.Is(at.Err, syscall.EPIPE)
}

// run is one run of the program.
type run struct {
	stdout, stderr io.Writer
	env            func(string) string
}

// usageError is a command line that makes no sense.
type usageError struct {
	command string // with a space behind it, "" for laminate itself
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func wrongUse(c *cli.Context, format string, args ...any) error {
	return &usageError{command: commandPath(c), err: fmt.Errorf(format, args...)}
}

// commandPath names the command that the context is for, with a space behind it.
func commandPath(c *cli.Context) string {
	_, path, ok := strings.Cut(c.Command.HelpName, " ")
	if !ok {
		return ""
	}
	return path + " "
}

func (r *run) app() *cli.App {
	app := &cli.App{
		Name:                      "laminate",
		HelpName:                  "laminate",
		Usage:                     "package Cloud Native Buildpacks into fewer image layers",
		Version:                   version(),
		HideVersion:               true,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		Suggest:                   true,
		Writer:                    r.stdout,
		ErrWriter:                 r.stderr,
		ExitErrHandler:            func(*cli.Context, error) {}, // Run decides
		Flags:                     commonFlags(),
		Commands: []*cli.Command{
			r.packageCommand(flatten.Buildpack, "package", "package a buildpack"),
			{
				Name: "buildpack", Usage: "commands for buildpacks, as pack users know them", HideHelpCommand: true,
				Subcommands: []*cli.Command{r.packageCommand(flatten.Buildpack, "package", "package a buildpack")},
			},
			{
				Name: "builder", Usage: "commands for builders", HideHelpCommand: true,
				Subcommands: []*cli.Command{r.builderCommand(), r.historyCommand(), r.simulateCommand()},
			},
			r.cacheCommand(),
			{
				Name: "extension", Usage: "commands for image extensions", HideHelpCommand: true,
				Subcommands: []*cli.Command{r.packageCommand(flatten.Extension, "package", "package an image extension")},
			},
		},
		Action: noCommand,
	}
	prepare(app.Commands)
	app.OnUsageError = onUsageError
	return app
}

// prepare gives all commands what they have in common.
func prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = onUsageError
		if len(c.Subcommands) > 0 {
			c.Flags = append(c.Flags, commonFlags()...)
			c.Action = noCommand
		}
		prepare(c.Subcommands)
	}
}

// The words of package flag, in ours.
var flagErrors = []struct {
	theirs *regexp.Regexp
	ours   string
}{
	{regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-+([^ :]+): (?:parse error)?(.*)$`), "--$2 cannot be $1: $3"},
	{regexp.MustCompile(`^flag needs an argument: -+(.*)$`), "--$1 needs a value"},
}

func onUsageError(c *cli.Context, err error, _ bool) error {
	message := err.Error()
	if name, unknown := strings.CutPrefix(message, "flag provided but not defined: "); unknown {
		return wrongUse(c, "there is no flag %s", strings.TrimLeft(name, "-")+nearFlags(c, strings.TrimLeft(name, "-")))
	}
	for _, e := range flagErrors {
		message = e.theirs.ReplaceAllString(message, e.ours)
	}
	return wrongUse(c, "%s", strings.TrimSuffix(message, ": "))
}

// nearFlags names the command's flags that somebody may have meant.
func nearFlags(c *cli.Context, name string) string {
	var names []string
	for _, f := range c.Command.Flags {
		if n := f.Names()[0]; len(n) > 1 {
			names = append(names, n)
		}
	}
	near := flatten.NearMisses(name, names)
	if len(near) == 0 {
		return ""
	}
	return "; there is --" + strings.Join(near, ", --")
}

// noCommand answers a command that needs another one behind it.
func noCommand(c *cli.Context) error {
	if !c.Args().Present() {
		return cli.ShowSubcommandHelp(c)
	}
	var names []string
	for _, sub := range c.Command.Subcommands {
		names = append(names, sub.Name)
	}
	message := fmt.Sprintf("there is no command %q", c.Args().First())
	if near := flatten.NearMisses(c.Args().First(), names); len(near) > 0 {
		message += "; there is " + strings.Join(near, ", ")
	}
	return wrongUse(c, "%s", message)
}

// commonFlags are those of every command. They may stand before it too.
func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print results and errors only"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "print every step"},
		&cli.BoolFlag{Name: "force-color", Usage: "print colours where standard error is no terminal, too"},
		&cli.BoolFlag{Name: "no-color", Usage: "print no colours (nor with NO_COLOR set)"},
		&cli.BoolFlag{Name: "version", Usage: "print laminate's version"},
	}
}

// asksVersion tells whether the version is all that is asked for.
func asksVersion(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args[1:], "--version")
}

// anywhere tells whether a flag is set on the command or on one above it.
func anywhere(c *cli.Context, flag string) bool {
	return slices.ContainsFunc(c.Lineage(), func(l *cli.Context) bool {
		return l.Command != nil && l.Bool(flag)
	})
}

// version is that of the module, as the build recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
