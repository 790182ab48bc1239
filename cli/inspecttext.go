package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"

	"laminate/packager/inspect"
)

// reportWidth is the maximum number of columns of a line.
const reportWidth = 100

// printReport prints a report for people.
func printReport(w io.Writer, r *inspect.Report) error { return newPage(r, false).print(w) }

// printColouredReport is printReport for a terminal.
func printColouredReport(w io.Writer, r *inspect.Report) error { return newPage(r, true).print(w) }

// page is a text of lines that fit reportWidth, without characters that could corrupt a terminal.
type page struct {
	strings.Builder
	coloured bool
}

func (p *page) print(w io.Writer) error {
	_, err := io.WriteString(w, p.String())
	return err
}

func newPage(r *inspect.Report, coloured bool) *page {
	p := &page{coloured: coloured}
	p.heading(r.Name)
	if r.Digest != "" {
		p.field("index", r.Digest)
		p.field("images", fmt.Sprint(len(r.Images)))
	}
	for i := range r.Images {
		p.image(&r.Images[i])
	}
	return p
}

// image describes one image.
func (p *page) image(img *inspect.Image) {
	p.line("")
	p.heading(strings.TrimSuffix(img.Kind+" for "+img.Target, " for "))
	p.field("digest", img.Digest)
	p.field("image ID", img.ID)
	if img.Created != nil {
		p.field("created", img.Created.Format("2006-01-02 15:04:05 MST"))
	}
	if t := img.CreatedBy; t != nil {
		p.field("created by", strings.TrimSpace(t.Name+" "+t.Version))
	}
	p.field("stack", img.Stack)
	p.field("size", totalSizes(img.Layers))
	switch {
	case img.Buildpackage != nil:
		p.buildpackage(img.Buildpackage)
	case img.Builder != nil:
		p.builder(img.Builder)
	case img.App != nil:
		p.app(img.App)
	}
	p.orders(img)
	p.layers(img)
	p.problems(img.Problems)
}

// totalSizes returns the sizes of all layers together, as far as they are known.
func totalSizes(layers []inspect.Layer) string {
	var known []string
	for _, of := range []struct {
		how   string
		bytes func(inspect.Layer) *int64
	}{
		{"compressed", func(l inspect.Layer) *int64 { return l.CompressedBytes }},
		{"uncompressed", func(l inspect.Layer) *int64 { return l.Bytes }},
	} {
		sum, all := int64(0), true
		for _, l := range layers {
			if n := of.bytes(l); n != nil {
				sum += *n
			} else {
				all = false
			}
		}
		if all {
			known = append(known, bytes(sum)+" "+of.how)
		}
	}
	return strings.Join(known, ", ")
}

func (p *page) buildpackage(b *inspect.Buildpackage) {
	p.field("id", b.ID)
	p.field("version", b.Version)
	p.field("name", b.Name)
	p.field("description", b.Description)
	p.field("homepage", b.Homepage)
	for i, l := range b.Licenses {
		p.field(only(i == 0, "licenses"), strings.TrimSpace(l.Type+" "+l.URI))
	}
	p.field("stacks", strings.Join(b.Stacks, ", "))
	p.field("targets", strings.Join(b.Targets, ", "))
}

func (p *page) builder(b *inspect.Builder) {
	p.field("description", b.Description)
	for i, run := range b.RunImages {
		p.field(only(i == 0, "run images"), run.Image)
		for _, m := range run.Mirrors {
			p.field("", "mirror "+m)
		}
	}
	p.field("lifecycle", b.Lifecycle.Version)
	p.field("buildpack API", versionsOf(b.Lifecycle.BuildpackAPI))
	p.field("platform API", versionsOf(b.Lifecycle.PlatformAPI))
}

func versionsOf(a inspect.APIs) string {
	s := strings.Join(a.Supported, ", ")
	if len(a.Deprecated) > 0 {
		s += "; deprecated " + strings.Join(a.Deprecated, ", ")
	}
	return strings.TrimPrefix(s, "; ")
}

func (p *page) app(a *inspect.App) {
	p.field("launcher", a.Launcher)
	p.field("run image", a.RunImage.Image)
	p.field("", a.RunImage.Reference)
	for i, b := range a.Buildpacks {
		kind := ""
		if b.Kind != "buildpack" {
			kind = " (" + b.Kind + ")"
		}
		p.field(only(i == 0, "buildpacks"), b.Ref+kind)
	}
	for i, process := range a.Processes {
		command := strings.Join(append(append([]string{}, process.Command...), process.Args...), " ")
		p.field(only(i == 0, "processes"), process.Type+only(process.Default, " (default)")+": "+command)
	}
}

func (p *page) problems(problems []string) {
	if len(problems) == 0 {
		return
	}
	p.section("Problems in the labels")
	for _, problem := range problems {
		p.wrapped("   - ", "     ", problem)
	}
}

// only returns the text if wanted.
func only(wanted bool, text string) string {
	if wanted {
		return text
	}
	return ""
}

// heading adds a line that stands out.
func (p *page) heading(text string) { p.line(p.bold(cut(printable(text), reportWidth))) }

// section adds an empty line and a heading.
func (p *page) section(text string) {
	p.line("")
	p.heading(text)
}

func (p *page) bold(text string) string {
	if p.coloured {
		return "\x1b[1m" + text + "\x1b[0m"
	}
	return text
}

// line adds a line as it is, without spaces at its end.
func (p *page) line(text string) {
	p.WriteString(strings.TrimRight(text, " "))
	p.WriteByte('\n')
}

// field adds a value with its name; nothing if it is empty.
func (p *page) field(name, value string) {
	if value != "" {
		p.wrapped(fmt.Sprintf("   %-15s", name), strings.Repeat(" ", 18), value)
	}
}

// mostLines is how many lines a text from an image may take.
const mostLines = 20

// wrapped adds a text from an image, on several lines if it is long; the first begins with first, and
// the others with next. Words that do not fit a line are broken.
func (p *page) wrapped(first, next, text string) {
	line, lines, empty := first, 0, true
	flush := func() {
		if lines++; lines == mostLines {
			line = cut(line, reportWidth-1) + "…"
		}
		if lines <= mostLines {
			p.line(line)
		}
		line, empty = next, true
	}
	for _, word := range strings.Fields(printable(text)) {
		if space := only(!empty, " "); runewidth.StringWidth(line+space+word) <= reportWidth {
			line, empty = line+space+word, false
			continue
		}
		if !empty {
			flush()
		}
		for runewidth.StringWidth(line+word) > reportWidth && lines < mostLines {
			head := runewidth.Truncate(word, reportWidth-runewidth.StringWidth(line), "")
			word, line = word[len(head):], line+head
			flush()
		}
		line, empty = line+word, false
	}
	flush()
}

// cut shortens a text to a number of columns.
func cut(text string, width int) string { return runewidth.Truncate(text, width, "…") }
