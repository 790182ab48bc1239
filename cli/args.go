package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// interspersed moves the flags of a command before its other arguments, so that both may come in
// any order: the library stops parsing flags at the first argument that is not a flag. Arguments
// after "--" are never flags. Arguments up to the name of the command, and those of an unknown
// command, are unchanged. It also returns the arguments that may be meant as the value of a flag.
func interspersed(app *cli.App, args []string) ([]string, []looseValue) {
	i := 1
	var command *cli.Command
	flags, commands := app.Flags, app.Commands
	for i < len(args) && len(commands) > 0 {
		if isFlag(args[i]) {
			i += 1 + valueWidth(flags, args[i])
			continue
		}
		if command = named(commands, args[i]); command == nil {
			return args, nil
		}
		flags, commands = command.Flags, command.Subcommands
		i++
	}
	if command == nil || len(commands) > 0 || i >= len(args) {
		return args, nil
	}
	loose := looseValues(flags, args[i:])
	front, rest := reorder(flags, args[i:])
	result := slices.Concat(args[:i], front)
	if last := len(args) - 1; len(rest) == 0 || missesValue(flags, args[last], front) {
		return result, loose // its value is missing, which "--" would hide
	}
	return slices.Concat(result, []string{"--"}, rest), loose
}

// A looseValue is an argument after a flag that takes its value only after an equals sign, or takes
// no value.
type looseValue struct{ flag, value string }

func looseValues(flags []cli.Flag, args []string) (loose []looseValue) {
	for i := 0; i+1 < len(args) && args[i] != "--"; i++ {
		f := flagOf(flags, args[i])
		if !isFlag(args[i]) || f == nil {
			continue
		}
		if valueWidth(flags, args[i]) == 1 || takesNext(flags, args, i, 0) {
			i++
			continue
		}
		_, takesValue := f.(*cli.GenericFlag)
		if (takesValue || f.Names()[0] == "flatten") && !isFlag(args[i+1]) {
			loose = append(loose, looseValue{flag: f.Names()[0], value: args[i+1]})
		}
	}
	return loose
}

// missesValue reports whether the last argument is a flag that needs a value.
func missesValue(flags []cli.Flag, last string, front []string) bool {
	return isFlag(last) && valueWidth(flags, last) == 1 && len(front) > 0 && front[len(front)-1] == longName(flags, last)
}

// reorder separates the flags, with their values, from the other arguments.
func reorder(flags []cli.Flag, args []string) (front, rest []string) {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--":
			return front, append(rest, args[i+1:]...)
		case takesNext(flags, args, i, len(rest)):
			front = append(front, args[i]+"="+args[i+1])
			i++
		case isFlag(args[i]):
			end := min(i+1+valueWidth(flags, args[i]), len(args))
			front = append(append(front, longName(flags, args[i])), args[i+1:end]...)
			i = end - 1
		default:
			rest = append(rest, args[i])
		}
	}
	return front, rest
}

// takesNext reports whether the argument at i is a flag with an optional value and the next
// argument is that value. It is one if it looks like one and another argument
// remains, before or after.
func takesNext(flags []cli.Flag, args []string, i, before int) bool {
	if i+1 >= len(args) || !isFlag(args[i]) {
		return false
	}
	f, isGeneric := flagOf(flags, args[i]).(*cli.GenericFlag)
	if !isGeneric {
		return false
	}
	value, may := f.Value.(interface{ TakesFollowing(string) bool })
	if !may || !value.TakesFollowing(args[i+1]) {
		return false
	}
	_, after := reorder(flags, args[i+2:])
	return before+len(after) > 0
}

// longName returns a flag with its first name, since the library does not accept two names of one
// flag together.
func longName(flags []cli.Flag, arg string) string {
	name, value, hasValue := strings.Cut(arg, "=")
	f := flagOf(flags, name)
	if f == nil {
		return arg
	}
	name = "--" + f.Names()[0]
	if hasValue {
		name += "=" + value
	}
	return name
}

// flagOf returns the flag that an argument names, without a value after "=".
func flagOf(flags []cli.Flag, arg string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), strings.TrimLeft(arg, "-")) {
			return f
		}
	}
	return nil
}

func isFlag(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// valueWidth returns the number of arguments after this one that are its value: 1 for a flag that
// needs a value and does not have it after "=".
func valueWidth(flags []cli.Flag, arg string) int {
	if f := flagOf(flags, arg); f != nil && needsValue(f) {
		return 1
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
