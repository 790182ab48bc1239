package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// helpTemplate is the help of a command. Each flag takes two lines: how it is
// written, and what it does.
const helpTemplate = `{{.HelpName}} - {{.Usage}}

Usage:
   {{.HelpName}}{{if .VisibleCommands}} COMMAND{{end}} [FLAGS]{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}
{{if .Description}}
{{.Description}}
{{end}}{{if .VisibleCommands}}
Commands:
{{range .VisibleCommands}}   {{printf "%-11s" .Name}} {{.Usage}}
{{end}}{{end}}
Flags, before or after the arguments:
{{range .VisibleFlags}}{{flag .}}{{end}}`

func init() {
	print := cli.HelpPrinterCustom
	cli.HelpPrinterCustom = func(w io.Writer, template string, data any, funcs map[string]any) {
		all := map[string]any{"flag": describeFlag}
		for name, f := range funcs {
			all[name] = f
		}
		print(w, template, data, all)
	}
	cli.AppHelpTemplate, cli.CommandHelpTemplate, cli.SubcommandHelpTemplate = helpTemplate, helpTemplate, helpTemplate
}

// describeFlag writes a flag for the help text.
func describeFlag(f cli.Flag) string {
	var spelled []string
	for _, n := range f.Names() {
		spelled = append([]string{dashes(n)}, spelled...)
	}
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	value, usage := placeholder(doc.GetUsage())
	line := "   " + strings.Join(spelled, ", ")
	if g, ok := f.(*cli.GenericFlag); ok && !needsValue(g) {
		line += "[=" + value + "]"
	} else if doc.TakesValue() {
		line += " " + value
	}
	if text := doc.GetDefaultText(); text != "" && doc.TakesValue() && text != `""` && text != "0" {
		usage += fmt.Sprintf(" (default: %s)", strings.Trim(text, `"`))
	}
	return line + "\n        " + usage + "\n"
}

func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// placeholder takes the word in backquotes out of a usage text, "VALUE" where
// there is none.
func placeholder(usage string) (value, rest string) {
	before, quoted, ok := strings.Cut(usage, "`")
	if !ok {
		return "VALUE", usage
	}
	value, after, _ := strings.Cut(quoted, "`")
	return value, before + value + after
}
