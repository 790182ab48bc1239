package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
	"github.com/urfave/cli/v2"
)

// helpWidth is the maximum number of columns of a line of help.
const helpWidth = 80

// helpTemplate is the help of a command. Each flag takes two or more lines: its syntax, and what it
// does. UsageText holds the examples.
const helpTemplate = `{{.HelpName}} - {{.Usage}}

Usage:
   {{.HelpName}}{{if .VisibleCommands}} COMMAND{{end}} [FLAGS]{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}
{{if .Description}}
{{paragraphs .Description}}
{{end}}{{if .VisibleCommands}}
Commands:
{{range .VisibleCommands}}   {{printf "%-11s" .Name}} {{.Usage}}
{{end}}{{end}}{{if .UsageText}}
Examples:
{{range lines .UsageText}}   {{.}}
{{end}}{{end}}
Flags, before or after the arguments:
{{range .VisibleFlags}}{{flag .}}{{end}}`

func init() {
	print := cli.HelpPrinterCustom
	cli.HelpPrinterCustom = func(w io.Writer, template string, data any, funcs map[string]any) {
		all := map[string]any{"flag": describeFlag, "paragraphs": wrapParagraphs, "lines": func(s string) []string { return strings.Split(s, "\n") }}
		for name, f := range funcs {
			all[name] = f
		}
		print(w, template, data, all)
	}
	cli.AppHelpTemplate, cli.CommandHelpTemplate, cli.SubcommandHelpTemplate = helpTemplate, helpTemplate, helpTemplate
}

// describeFlag formats a flag for the help text.
func describeFlag(f cli.Flag) string {
	spelled, usage := flagText(f)
	return "   " + spelled + "\n" + wrap(usage, "        ", helpWidth) + "\n"
}

// flagText returns the syntax of a flag, with its value, and what it does.
func flagText(f cli.Flag) (spelled, usage string) {
	var names []string
	for _, n := range f.Names() {
		names = append([]string{dashes(n)}, names...)
	}
	spelled = strings.Join(names, ", ")
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return spelled, ""
	}
	value, usage := placeholder(doc.GetUsage())
	if g, ok := f.(*cli.GenericFlag); ok && !needsValue(g) {
		spelled += "[=" + value + "]"
	} else if doc.TakesValue() {
		spelled += " " + value
	}
	if text := doc.GetDefaultText(); text != "" && doc.TakesValue() && text != `""` && text != "0" {
		usage += fmt.Sprintf(" (default: %s)", strings.Trim(text, `"`))
	}
	return spelled, usage
}

// wrap breaks a text into lines of at most this many columns, if its words allow that.
func wrap(text, indent string, width int) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = indent + word
		case runewidth.StringWidth(line)+1+runewidth.StringWidth(word) > width:
			lines = append(lines, line)
			line = indent + word
		default:
			line += " " + word
		}
	}
	return strings.Join(append(lines, line), "\n")
}

// wrapParagraphs wraps a text with paragraphs between empty lines. An indented paragraph is
// unchanged.
func wrapParagraphs(text string) string {
	parts := strings.Split(text, "\n\n")
	for i, p := range parts {
		if !isIndented(p) {
			parts[i] = wrap(p, "", helpWidth)
		}
	}
	return strings.Join(parts, "\n\n")
}

// isIndented reports whether a paragraph is printed unchanged.
func isIndented(part string) bool { return strings.HasPrefix(part, " ") }

func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// placeholder returns the word in backquotes in a usage text, or "VALUE" if there is none, and the
// text without backquotes.
func placeholder(usage string) (value, rest string) {
	before, quoted, ok := strings.Cut(usage, "`")
	if !ok {
		return "VALUE", usage
	}
	value, after, _ := strings.Cut(quoted, "`")
	return value, before + value + after
}
