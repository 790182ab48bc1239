package cli

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// interspersed puts the flags of a command before its other arguments, so that
// both may come in any order: the library stops reading flags at the first
// argument that is none. What follows "--" is never a flag. Arguments up to the
// name of the command, and those of a command that is not known, stay as they are.
func interspersed(app *cli.App, args []string) []string {
	i := 1
	var command *cli.Command
	flags, commands := app.Flags, app.Commands
	for i < len(args) && len(commands) > 0 {
		if isFlag(args[i]) {
			i += 1 + valueWidth(flags, args[i])
			continue
		}
		if command = named(commands, args[i]); command == nil {
			return args
		}
		flags, commands = command.Flags, command.Subcommands
		i++
	}
	if command == nil || len(commands) > 0 || i >= len(args) {
		return args
	}
	front, rest := reorder(flags, args[i:])
	result := append(append([]string{}, args[:i]...), front...)
	if len(rest) > 0 {
		result = append(append(result, "--"), rest...)
	}
	return result
}

// reorder takes the flags, with their values, apart from the other arguments.
func reorder(flags []cli.Flag, args []string) (front, rest []string) {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--":
			return front, append(rest, args[i+1:]...)
		case isFlag(args[i]):
			end := min(i+1+valueWidth(flags, args[i]), len(args))
			front = append(front, args[i:end]...)
			i = end - 1
		default:
			rest = append(rest, args[i])
		}
	}
	return front, rest
}

func isFlag(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// valueWidth is how many arguments after this one are its value: 1 for a flag
// that needs one and does not carry it behind "=".
func valueWidth(flags []cli.Flag, arg string) int {
	name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if hasValue {
		return 0
	}
	for _, f := range flags {
		for _, n := range f.Names() {
			if n == name && needsValue(f) {
				return 1
			}
		}
	}
	return 0
}

func needsValue(f cli.Flag) bool {
	switch f := f.(type) {
	case *cli.BoolFlag:
		return false
	case *cli.GenericFlag:
		b, ok := f.Value.(interface{ IsBoolFlag() bool })
		return !ok || !b.IsBoolFlag()
	}
	return true
}

func named(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}
