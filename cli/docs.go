package cli

import (
	"fmt"
	"slices"
	"strings"

	"laminate/flatten"

	"github.com/urfave/cli/v2"
)

// docsCommand is "docs", which prints the pages that are generated from the definitions of the
// commands: the man page, and docs/reference.md.
func (r *run) docsCommand() *cli.Command {
	return &cli.Command{
		Name: "docs", Usage: "print the man page, or the reference", ArgsUsage: "man|markdown", UsageText: docsExamples, Hidden: true, HideHelpCommand: true,
		Flags: commonFlags(),
		Action: func(c *cli.Context) error {
			render := map[string]func(*cli.App) string{"man": manPage, "markdown": referencePage}[c.Args().First()]
			if c.Args().Len() != 1 || render == nil {
				return wrongUse(c, "invalid format %q; write man or markdown", flatten.Clip(strings.Join(c.Args().Slice(), " ")))
			}
			return standardOutput(write(r.stdout, render(r.app())))
		},
	}
}

// commandDoc is the description of a command in the pages.
type commandDoc struct {
	name, usage, arguments, description, examples string
	flags                                         []flagDoc // without the common flags
	group                                         bool      // has subcommands
	same                                          string    // the earlier command of which it is another name
}

type flagDoc struct{ spelled, usage string }

// docsOf returns the visible commands, depth first.
func docsOf(parent string, commands []*cli.Command, before []commandDoc) []commandDoc {
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		d := commandDoc{
			name: parent + " " + c.Name, usage: c.Usage, arguments: c.ArgsUsage, description: c.Description, examples: c.UsageText,
			flags: flagDocs(c.Flags), group: len(c.Subcommands) > 0,
		}
		if same := slices.IndexFunc(before, d.isSame); same >= 0 && !d.group {
			d.same = before[same].name
		}
		before = docsOf(d.name, c.Subcommands, append(before, d))
	}
	return before
}

// isSame reports whether two commands are the same under different names.
func (d commandDoc) isSame(o commandDoc) bool {
	return d.usage == o.usage && d.description == o.description && d.arguments == o.arguments && slices.Equal(d.flags, o.flags)
}

// synopsis returns the synopsis of the command.
func (d commandDoc) synopsis() string {
	s := d.name
	if d.group {
		s += " COMMAND"
	}
	return strings.TrimSpace(s + " [FLAGS] " + d.arguments)
}

// flagDocs describes the visible flags, except for the common ones.
func flagDocs(flags []cli.Flag) (docs []flagDoc) {
	for _, f := range flags {
		if !isCommon(f) {
			docs = append(docs, flagDocOf(f)...)
		}
	}
	return docs
}

func commonFlagDocs() (docs []flagDoc) {
	for _, f := range append(commonFlags(), cli.HelpFlag) {
		docs = append(docs, flagDocOf(f)...)
	}
	return docs
}

// flagDocOf describes a flag; it returns nil if the flag is hidden.
func flagDocOf(f cli.Flag) []flagDoc {
	if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
		return nil
	}
	spelled, usage := flagText(f)
	return []flagDoc{{spelled, usage}}
}

func isCommon(f cli.Flag) bool {
	return slices.ContainsFunc(append(commonFlags(), cli.HelpFlag), func(c cli.Flag) bool { return c.Names()[0] == f.Names()[0] })
}

// environment lists the variables that laminate reads, with descriptions.
var environment = []flagDoc{
	{"LAMINATE_CACHE_DIR", "directory of the cache, instead of laminate in the user's cache directory"},
	{"LAMINATE_LIFECYCLE_URL", "URL of lifecycle releases, with {version} and {arch}"},
	{"SOURCE_DATE_EPOCH", "creation time of the images, in seconds since 1970"},
	{"TMPDIR", "directory of the work directory"},
	{"NO_COLOR", "print no colours"},
	{"DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CONFIG, DOCKER_TLS, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH, DOCKER_API_VERSION", "as for the docker command"},
	{"DOCKER_AUTH_CONFIG, REGISTRY_AUTH_FILE", "credentials of registries, before those in Docker's and containers' configuration files"},
}

var exitCodes = []flagDoc{
	{"0", "success"}, {"1", "the run failed; unless the message says otherwise, there is no output"}, {"2", "the command line is invalid, and nothing was tried"},
	{"3", "the images differ, and --exit-code was given; update --check finds something out of date; or release has no version for what has changed"},
}

// referencePage is docs/reference.md.
func referencePage(app *cli.App) string {
	var s strings.Builder
	s.WriteString("# Reference\n\nAll commands and flags, generated from their definitions by `laminate docs markdown`. Flags may\nstand before or after the arguments.\n")
	section := func(title, head string, docs []flagDoc) {
		if len(docs) == 0 {
			return
		}
		fmt.Fprintf(&s, "\n%s| %s | |\n| --- | --- |\n", title, head)
		for _, d := range docs {
			fmt.Fprintf(&s, "| `%s` | %s |\n", strings.ReplaceAll(d.spelled, "|", `\|`), markdownText(d.usage))
		}
	}
	for _, d := range docsOf(app.Name, app.Commands, nil) {
		fmt.Fprintf(&s, "\n## %s\n\n", d.name)
		if d.same != "" {
			fmt.Fprintf(&s, "The same as `%s`.\n", d.same)
			continue
		}
		fmt.Fprintf(&s, "%s.\n\n```text\n%s\n```\n", strings.ToUpper(d.usage[:1])+d.usage[1:], d.synopsis())
		for _, p := range paragraphsOf(d.description) {
			if isIndented(p) {
				fmt.Fprintf(&s, "\n```text\n%s\n```\n", strings.Trim(p, "\n"))
			} else {
				fmt.Fprintf(&s, "\n%s\n", wrap(markdownText(p), "", 100))
			}
		}
		fmt.Fprintf(&s, "\n```sh\n%s\n```\n", d.examples)
		section("", "flag", d.flags)
	}
	section("## Flags of all commands\n\n", "flag", commonFlagDocs())
	section("## Environment\n\n", "variable", environment)
	section("## Exit codes\n\n", "code", exitCodes)
	return s.String()
}

// markdownText escapes characters that Markdown would treat as markup.
func markdownText(s string) string {
	return strings.NewReplacer("*", `\*`, "|", `\|`, "<", `\<`, "[", `\[`).Replace(s)
}

func paragraphsOf(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n\n")
}

// manPage is the man page, in the macros of man(7). It has no date, so that it
// depends on the definitions alone.
func manPage(app *cli.App) string {
	var s strings.Builder
	fmt.Fprintf(&s, ".TH LAMINATE 1 \"\" \"laminate\" \"User Commands\"\n.SH NAME\nlaminate \\- %s\n.SH SYNOPSIS\n.B laminate\nCOMMAND [FLAGS] [ARGUMENTS]\n", roff(app.Usage))
	list := func(title string, docs []flagDoc) {
		if title != "" {
			fmt.Fprintf(&s, ".SH %s\n", title)
		}
		for _, d := range docs {
			fmt.Fprintf(&s, ".TP\n.B %s\n%s\n", roff(d.spelled), roff(d.usage))
		}
	}
	verbatim := func(text string) { fmt.Fprintf(&s, ".PP\n.nf\n%s\n.fi\n", roff(text)) }
	s.WriteString(".SH COMMANDS\nFlags may stand before or after the arguments.\n")
	for _, d := range docsOf(app.Name, app.Commands, nil) {
		fmt.Fprintf(&s, ".SS %s\n", roff(d.synopsis()))
		if d.same != "" {
			fmt.Fprintf(&s, "The same as \"%s\".\n", roff(d.same))
			continue
		}
		fmt.Fprintf(&s, "%s.\n", roff(strings.ToUpper(d.usage[:1])+d.usage[1:]))
		for _, p := range paragraphsOf(d.description) {
			if isIndented(p) {
				verbatim(strings.Trim(p, "\n"))
			} else {
				fmt.Fprintf(&s, ".PP\n%s\n", roff(p))
			}
		}
		list("", d.flags)
		s.WriteString(".PP\nExamples:\n")
		verbatim(d.examples)
	}
	list("FLAGS OF ALL COMMANDS", commonFlagDocs())
	list("ENVIRONMENT", environment)
	list("EXIT STATUS", exitCodes)
	return s.String()
}

// roff escapes a text for a man page.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
