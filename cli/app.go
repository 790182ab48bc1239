package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"laminate/builder/smoke/sandbox"
	"laminate/flatten"
	"laminate/packager/registry"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong use: nothing was done
	// exitDifferent is for commands that were asked to tell a difference by their exit code.
	exitDifferent = 3
)

// Run is the program. It runs the command that args name (args[0] is the name of the program) and
// returns the exit code. It reads the environment through env only, and returns soon after ctx is
// done.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, env func(string) string) int {
	if len(args) > 1 && args[1] == sandbox.Argument {
		return sandbox.Main(args[2:])
	}
	r := &run{stdout: stdout, stderr: stderr, env: env}
	if len(args) > 1 && args[1] == completeCommand {
		if r.complete(args[2:]) != nil {
			return exitFailed
		}
		return exitDone
	}
	app := r.app()
	if wanted, asks := asksVersion(args); asks {
		args = wanted
	}
	args, r.loose = interspersed(app, args)
	err := app.RunContext(ctx, args)
	if r.pool != nil {
		r.pool.Close()
	}
	var usage *usageError
	var kept *keptError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errDifferent):
		return exitDifferent
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "laminate: %s\nSee: laminate %s--help\n", explain(err), usage.command)
		return exitUsage
	case ctx.Err() != nil && errors.As(err, &kept):
		fmt.Fprintf(stderr, "laminate: interrupted; %s\n", printable(kept.note))
	case isClosedPipe(err):
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "laminate: interrupted; there is no output")
	default:
		fmt.Fprintf(stderr, "laminate: %s%s\n", explain(err), r.missingHelpers(err))
	}
	return exitFailed
}

// isClosedPipe reports whether the reader of standard output has closed it. That error is not
// printed.
func isClosedPipe(err error) bool {
	var at *fs.PathError
	return errors.As(err, &at) && at.Path == os.Stdout.Name() && errors.Is(at.Err, syscall.EPIPE)
}

// run is one run of the program.
type run struct {
	stdout, stderr io.Writer
	env            func(string) string
	loose          []looseValue
	keychain       *registry.DockerKeychain // nil until a registry may be needed
	pool           *registry.Pool           // likewise
}

// usageError is an invalid command line.
type usageError struct {
	command string // followed by a space; "" for laminate itself
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func wrongUse(c *cli.Context, format string, args ...any) error {
	return &usageError{command: commandPath(c), err: fmt.Errorf(format, args...)}
}

// commandPath returns the name of the context's command, followed by a space.
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
		UsageText:                 appExamples,
		Version:                   version(),
		HideVersion:               true,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		Writer:                    r.stdout,
		ErrWriter:                 r.stderr,
		ExitErrHandler:            func(*cli.Context, error) {},        // Run decides
		Flags:                     append(commonFlags(), cli.HelpFlag), // which the library leaves out beside a command of that name
		Commands: []*cli.Command{
			r.packageCommand(flatten.Buildpack, "package", "package a buildpack"),
			r.updateCommand(),
			{
				Name: "buildpack", Aliases: []string{"buildpacks"}, Usage: "commands for buildpacks, as pack users know them", UsageText: "laminate buildpack package java.cnb --config package.toml", HideHelpCommand: true,
				Subcommands: []*cli.Command{r.packageCommand(flatten.Buildpack, "package", "package a buildpack")},
			},
			{
				Name: "builder", Aliases: []string{"builders"}, Usage: "commands for builders", UsageText: builderGroupExamples, HideHelpCommand: true,
				Subcommands: []*cli.Command{r.builderCommand("create"), r.smokeCommand(), r.historyCommand(), r.simulateCommand(), r.updateCommand()},
			},
			r.cacheCommand(),
			{
				Name: "extension", Aliases: []string{"extensions"}, Usage: "commands for image extensions", UsageText: extensionExamples, HideHelpCommand: true,
				Subcommands: []*cli.Command{r.packageCommand(flatten.Extension, "package", "package an image extension")},
			},
			r.inspectCommand(),
			r.verifyCommand(),
			r.flattenCommand(),
			r.diffCommand(),
			r.releaseCommand(),
			r.completionCommand(),
			r.configCommand(),
			r.docsCommand(),
			r.versionCommand(),
			r.helpCommand(),
			formerly("create-builder", r.builderCommand("create-builder")),
			formerly("package-buildpack", r.packageCommand(flatten.Buildpack, "package-buildpack", "package a buildpack")),
		},
		Action: noCommand,
	}
	prepare(app.Commands)
	app.OnUsageError = onUsageError
	return app
}

// prepare adds the common settings to all commands.
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

// The messages of package flag, in laminate's wording.
var flagErrors = []struct {
	theirs *regexp.Regexp
	ours   string
}{
	{regexp.MustCompile(`^invalid boolean value (".*") for (?:flag )?-+([^ :]+): parse error$`), "invalid value $1 for --$2; it takes none"},
	{regexp.MustCompile(`^invalid value (".*") for (?:flag )?-+([^ :]+): (?:parse error|value out of range)$`), "invalid value $1 for --$2; it takes a number"},
	{regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-+([^ :]+): (.*)$`), "invalid value $1 for --$2; $3"},
	{regexp.MustCompile(`^flag needs an argument: -+(.*)$`), "--$1 needs a value"},
}

func onUsageError(c *cli.Context, err error, _ bool) error {
	message := err.Error()
	if name, unknown := strings.CutPrefix(message, "flag provided but not defined: "); unknown {
		name = strings.TrimLeft(name, "-")
		return wrongUse(c, "unknown flag %s%s", flatten.Clip(dashes(name)), nearFlags(c, name))
	}
	if value, is := strings.CutPrefix(message, `invalid boolean value "`); is && hasFlag(c, "flatten-layers") && strings.Contains(message, " for -flatten: ") {
		value, _, _ = strings.Cut(value, `" for -flatten: `)
		flag := "flatten-group" // pack's builder create lists buildpacks there
		if len(flatten.NearMisses(value, modes)) > 0 {
			flag = "flatten-layers"
		}
		return wrongUse(c, "invalid value %q for --flatten, which takes none in this command; use --%s=%s", flatten.Clip(value), flag, flatten.Clip(value))
	}
	for _, e := range flagErrors {
		if parts := e.theirs.FindStringSubmatch(message); len(parts) == 3 && isDuration(c, parts[2]) {
			return wrongUse(c, "invalid value %s for --%s; write a duration, such as 90s or 15m", parts[1], parts[2])
		}
		message = e.theirs.ReplaceAllString(message, e.ours)
	}
	return wrongUse(c, "%s", message)
}

func isDuration(c *cli.Context, name string) bool {
	return slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool {
		_, is := f.(*cli.DurationFlag)
		return is && slices.Contains(f.Names(), name)
	})
}

func hasFlag(c *cli.Context, name string) bool {
	return slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
}

// nearFlags returns the flags of the command that the user may have meant.
func nearFlags(c *cli.Context, name string) string {
	var names []string
	for _, f := range c.Command.Flags {
		if n := f.Names()[0]; len(n) > 1 {
			names = append(names, n)
		}
	}
	return didYouMean(name, names, "--")
}

// didYouMean returns the end of a message about an unknown word: the similar names, if any.
func didYouMean(word string, names []string, prefix string) string {
	near := flatten.NearMisses(word, names)
	if len(near) == 0 {
		return ""
	}
	for i := range near {
		near[i] = prefix + near[i]
	}
	return "; did you mean " + flatten.AnyOf(near) + "?"
}

// noCommand returns the error of a command that needs a subcommand.
func noCommand(c *cli.Context) error {
	if !c.Args().Present() {
		return cli.ShowSubcommandHelp(c)
	}
	var names []string
	for _, sub := range c.Command.Subcommands {
		if !sub.Hidden {
			names = append(names, sub.Name)
		}
	}
	return wrongUse(c, "%s", unknownCommand(strings.TrimSpace(commandPath(c)), flatten.Clip(c.Args().First()), names))
}
