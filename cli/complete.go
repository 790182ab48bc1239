package cli

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"laminate/builder/simulate"
	"laminate/builder/update"
	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/engine"
	"laminate/packager/mediatype"
	"laminate/packager/source"
)

// completeCommand is the command that the completion scripts call, with the words of the command
// line up to the cursor. It prints one candidate for the last word per line, followed by a tab and
// a description, and then one of the directives.
const completeCommand = "__complete"

// Directives for the scripts: what to complete besides the candidates.
const (
	nothing     = ":nothing"
	files       = ":files"
	directories = ":directories"
)

//go:embed completion/laminate.bash
var bashCompletion string

//go:embed completion/laminate.zsh
var zshCompletion string

//go:embed completion/laminate.fish
var fishCompletion string

// completionScripts are the shells with their scripts.
var completionScripts = map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}

func (r *run) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a completion script for a shell", ArgsUsage: "bash|zsh|fish", UsageText: completionExamples, HideHelpCommand: true, Flags: commonFlags(),
		Description: `The script completes commands, flags, their values, and DEST. To load it in every
new shell:

   bash   add to ~/.bashrc: source <(laminate completion bash)
   zsh    add to ~/.zshrc, after compinit: source <(laminate completion zsh)
   fish   write it to ~/.config/fish/completions/laminate.fish`,
		Action: func(c *cli.Context) error {
			script := completionScripts[c.Args().First()]
			if c.Args().Len() != 1 || script == "" {
				if c.Args().Len() == 0 {
					return wrongUse(c, "SHELL is missing; write bash, zsh or fish")
				}
				return wrongUse(c, "invalid shell %q; write bash, zsh or fish", flatten.Clip(strings.Join(c.Args().Slice(), " ")))
			}
			return standardOutput(write(r.stdout, script))
		},
	}
}

// standardOutput marks an error as one of standard output.
func standardOutput(err error) error {
	if err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// candidate is a possible completion of the last word.
type candidate struct{ value, about string }

// completion is the response to a completion script.
type completion struct {
	candidates []candidate
	directive  string
}

// complete prints the response to a completion script.
func (r *run) complete(words []string) error {
	if len(words) == 0 {
		words = []string{""}
	}
	answer := completionOf(r.app(), words)
	var s strings.Builder
	for _, c := range answer.candidates {
		fmt.Fprintf(&s, "%s\t%s\n", c.value, flatten.Clip(c.about))
	}
	return standardOutput(write(r.stdout, s.String()+answer.directive+"\n"))
}

// completionOf returns the completions of the last word, given the words before it.
func completionOf(app *cli.App, words []string) completion {
	last := len(words) - 1
	at := place{app: app, flags: app.Flags, commands: app.Commands}
	for i := 0; i < last; i++ {
		word := words[i]
		switch {
		case at.noFlags:
			at.arguments++
		case word == "--":
			at.noFlags = true
		case isFlag(word):
			if valueWidth(at.flags, word) == 0 {
				continue
			}
			if i++; i == last {
				return at.values(flagOf(at.flags, word)).matching("", words[last])
			}
		default:
			at.enter(word)
		}
	}
	return at.complete(words[last])
}

// matching returns the candidates that begin with the typed text, each prefixed with the part of
// the word before it.
func (c completion) matching(before, written string) completion {
	kept := completion{directive: c.directive}
	for _, one := range c.candidates {
		if strings.HasPrefix(one.value, written) {
			kept.candidates = append(kept.candidates, candidate{before + one.value, one.about})
		}
	}
	return kept
}

// place is the position of a word in the command line.
type place struct {
	app       *cli.App
	command   string // "" before the first command
	flags     []cli.Flag
	commands  []*cli.Command
	noFlags   bool // after "--"
	arguments int
}

// enter processes a word that is not a flag: a command, or an argument of one.
func (p *place) enter(word string) {
	c := named(p.commands, word)
	if c == nil {
		p.arguments++
		return
	}
	p.command, p.flags, p.commands = c.Name, c.Flags, c.Subcommands
}

// complete returns the completions of the word at this place.
func (p *place) complete(word string) completion {
	name, value, hasValue := strings.Cut(word, "=")
	switch {
	case strings.HasPrefix(word, "-") && hasValue && !p.noFlags:
		if f := flagOf(p.flags, name); f != nil {
			return p.values(f).matching(name+"=", value)
		}
		return completion{directive: nothing}
	case strings.HasPrefix(word, "-") && !p.noFlags:
		return completion{flagNames(p.flags), nothing}.matching("", word)
	case p.arguments > 0 && (p.command != "flatten" && p.command != "diff" || p.arguments > 1):
		return completion{directive: nothing}
	case len(p.commands) > 0:
		return completion{commandNames(p.commands), nothing}.matching("", word)
	}
	return p.argument(word).matching("", word)
}

// argument returns the completions of an argument that is not a flag.
func (p *place) argument(word string) completion {
	switch p.command {
	case "update":
		return completion{directive: files}
	case "completion":
		return completion{candidates(slices.Sorted(maps.Keys(completionScripts))), nothing}
	case "help":
		return completion{commandNames(p.app.Commands), nothing}
	case "package", "package-buildpack", "create", "create-builder", "inspect", "verify", "diff", "flatten", "smoke":
		switch scheme, _, found := strings.Cut(word, ":"); {
		case !found:
			return completion{destForms, files}
		case scheme == "oci":
			return completion{directive: directories}
		case strings.HasSuffix(scheme, "-archive"):
			return completion{directive: files}
		}
		return completion{destForms, nothing}
	}
	return completion{directive: nothing}
}

// destForms are the prefixes of a DEST, and of a REF.
var destForms = []candidate{
	{"oci:", "an OCI layout"}, {"oci-archive:", "a tar file of an OCI layout"},
	{"docker-archive:", "a file as docker save writes it"},
	{"docker://", "a registry"}, {"docker-daemon:", "the Docker daemon"},
}

// flagValues are the possible values of flags that have only a few, by flag name.
var flagValues = map[string][]string{
	"compression": {string(layer.Gzip), string(layer.Zstd)},
	"flatten":     modes, "flatten-layers": modes,
	"format":       {"file", "image"},
	"media-types":  {string(mediatype.Docker), string(mediatype.OCI)},
	"on-conflict":  {string(engine.UseFirst), string(engine.UseLast)},
	"only":         {string(update.Major), string(update.Minor), string(update.Patch)},
	"output":       {"json", "text"},
	"layer-writes": {"ignore", "warn", "fail", "refuse"},
	"network":      {"host", "none"},
	"plan":         simulate.Names(),
	"pull-policy":  {string(source.Always), string(source.IfNotPresent), string(source.Never)},
	"target":       targetNames(),
}

// outputForms are the values of --output of commands that have other ones, by command.
var outputForms = map[string][]string{"simulate": forms(renderings), "inspect": forms(inspectForms), "verify": forms(verifyForms), "diff": diffForms, "smoke": smokeForms, "update": updateForms}

func targetNames() (names []string) {
	for _, a := range architectures {
		names = append(names, "linux/"+a)
	}
	return names
}

// values returns the completions of the value of a flag: one of a few values or, if its placeholder
// says so, a file.
func (p *place) values(f cli.Flag) completion {
	name := f.Names()[0]
	if known := outputForms[p.command]; name == "output" && known != nil {
		return completion{candidates(known), nothing}
	}
	if known := flagValues[name]; known != nil {
		return completion{candidates(known), nothing}
	}
	if doc, ok := f.(cli.DocGenerationFlag); ok {
		if value, _ := placeholder(doc.GetUsage()); slices.Contains([]string{"FILE", "DIR", "URI"}, value) {
			return completion{directive: files}
		}
	}
	return completion{directive: nothing}
}

func candidates(values []string) (all []candidate) {
	for _, v := range values {
		all = append(all, candidate{value: v})
	}
	return all
}

// flagNames returns the names of flags. A flag with an optional value is also listed with an equals
// sign.
func flagNames(flags []cli.Flag) (all []candidate) {
	for _, f := range flags {
		if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		name, about := dashes(f.Names()[0]), ""
		if doc, ok := f.(cli.DocGenerationFlag); ok {
			_, about = placeholder(doc.GetUsage())
			about, _, _ = strings.Cut(about, ";")
		}
		all = append(all, candidate{name, about})
		if g, ok := f.(*cli.GenericFlag); ok && !needsValue(g) {
			all = append(all, candidate{name + "=", about})
		}
	}
	return all
}

func commandNames(commands []*cli.Command) (all []candidate) {
	for _, c := range commands {
		if !c.Hidden {
			all = append(all, candidate{c.Name, c.Usage})
		}
	}
	return all
}
