package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"laminate/flatten"
)

// This file has the responses to commands and flags of scripts that were written for pack.

// packCommands are the commands of pack 0.40 that laminate does not have, by parent command.
var packCommands = map[string][]string{
	"": {
		"build", "stack", "rebase", "sbom", "manifest", "report",
		"set-default-builder", "set-run-image-mirrors", "suggest-builders", "trust-builder", "untrust-builder", "list-trusted-builders",
		"add-registry", "list-registries", "remove-registry", "set-default-registry", "register-buildpack", "yank-buildpack",
	},
	"buildpack": {"new", "pull", "register", "yank"},
	"builder":   {"suggest"},
	"config":    {"default-builder", "lifecycle-image", "registries", "run-image-mirrors", "trusted-builders"},
	"extension": {"new", "pull", "register", "yank"},
}

// otherWays are commands of pack that laminate replaces with something else, and commands without
// their parents.
var otherWays = map[string]string{
	"config pull-policy":      "laminate has no settings: pass --pull-policy to each command",
	"config registry-mirrors": "laminate has no settings: name the mirror where the image is named",
	"smoke":                   "use laminate builder smoke REF --app DIR",
	"create":                  "use laminate builder create",
	"inspect-image":           useInspect,
	"inspect-builder":         useInspect,
	"inspect-buildpack":       useInspect,
	"builder inspect":         useInspect,
	"buildpack inspect":       useInspect,
	"extension inspect":       useInspect,
}

const useInspect = "use laminate inspect REF"

// unknownCommand returns the message about an unknown command. Parent is the command before it, ""
// for laminate itself.
func unknownCommand(parent, name string, siblings []string) string {
	full := strings.TrimSpace(parent + " " + name)
	message := fmt.Sprintf("unknown command %q", full)
	switch {
	case slices.Contains(packCommands[parent], name):
		return message + "; pack does that"
	case otherWays[full] != "":
		return message + "; " + otherWays[full]
	}
	return message + didYouMean(name, siblings, "")
}

// withoutEffect are flags of pack that are accepted, with the reason why they have no effect.
var withoutEffect = []struct{ flag, because string }{
	{"timestamps", "laminate prints no times"},
	{"buildpack-registry", "laminate looks nothing up in a buildpack registry"},
}

// tellWithoutEffect prints a line for each of these flags that is set, with --verbose.
func (u *ui) tellWithoutEffect(c *cli.Context) {
	for _, f := range withoutEffect {
		if u.verbose && slices.ContainsFunc(c.Lineage(), func(l *cli.Context) bool { return l.Command != nil && l.IsSet(f.flag) }) {
			u.line("--%s has no effect: %s", f.flag, f.because)
		}
	}
}

// configCommand is "config". Scripts need "config experimental true".
func (r *run) configCommand() *cli.Command {
	experimental := &cli.Command{
		Name: "experimental", Usage: "accepted, and has no effect", ArgsUsage: "[true|false]", UsageText: configExamples, HideHelpCommand: true,
		Flags: commonFlags(),
		Action: func(c *cli.Context) error {
			if args := c.Args().Slice(); len(args) > 1 || len(args) == 1 && args[0] != "true" && args[0] != "false" {
				return wrongUse(c, "invalid value %q; write true or false", flatten.Clip(strings.Join(args, " ")))
			}
			s := r.begin(c)
			defer s.end()
			if s.verbose {
				s.line("config experimental has no effect: laminate has no settings, and every feature is enabled")
			}
			return nil
		},
	}
	return &cli.Command{Name: "config", Usage: "accepted, and has no effect", UsageText: configExamples, Hidden: true, HideHelpCommand: true, Subcommands: []*cli.Command{experimental}}
}

// helpCommand is "help", which prints the same as --help.
func (r *run) helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "print the help of a command", ArgsUsage: "[COMMAND]", UsageText: helpExamples, HideHelpCommand: true, Flags: commonFlags(),
		Action: func(c *cli.Context) error {
			return r.app().RunContext(c.Context, slices.Concat([]string{"laminate"}, c.Args().Slice(), []string{"--help"}))
		},
	}
}

// formerly changes a command to the name that it had in earlier versions of pack, and hides it.
func formerly(name string, c *cli.Command) *cli.Command {
	c.Name, c.Hidden = name, true
	return c
}
