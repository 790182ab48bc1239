package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"laminate/packager/progress"
)

// say tells a person on standard error how a run goes: bars on a terminal that
// disappear with the work, and a line for what was done; lines alone elsewhere.
// It is a [progress.Log].
type say struct {
	lines   io.Writer // safe for concurrent use
	bars    *mpb.Progress
	quiet   bool
	verbose bool
	colour  bool
	once    sync.Once
}

// begin begins to tell. Who called it calls end.
func (r *run) begin(c *cli.Context) *say {
	s := &say{quiet: anywhere(c, "quiet"), verbose: anywhere(c, "verbose")}
	f, isFile := r.stderr.(*os.File)
	terminal := isFile && term.IsTerminal(int(f.Fd())) && r.env("TERM") != "dumb"
	s.colour = terminal && r.env("NO_COLOR") == "" && !anywhere(c, "no-color")
	s.lines = &syncWriter{w: r.stderr}
	if terminal && !s.quiet {
		s.bars = mpb.NewWithContext(c.Context, mpb.WithOutput(r.stderr), mpb.WithWidth(30))
		s.lines = s.bars
	}
	return s
}

// end takes the bars off the terminal. Nothing can be told afterwards.
func (s *say) end() {
	s.once.Do(func() {
		if s.bars != nil {
			s.bars.Shutdown()
		}
	})
}

func (s *say) line(format string, args ...any) {
	if !s.quiet {
		fmt.Fprintln(s.lines, printable(fmt.Sprintf(format, args...))) // nobody can be told if standard error is gone
	}
}

// Warn implements progress.Log.
func (s *say) Warn(message string) {
	if s.quiet {
		return
	}
	word := "warning:"
	if s.colour {
		word = "\x1b[33mwarning:\x1b[0m"
	}
	fmt.Fprintln(s.lines, word, printable(message))
}

// Note implements progress.Log.
func (s *say) Note(verb progress.Verb, name string, size int64) {
	s.line("%-11s %s (%s)", verb, name, bytes(size))
}

// past is how a verb reads when it is done. What is read, and what is copied
// into a file, is told with --verbose only.
var past = map[progress.Verb]string{
	progress.Reading: "read", progress.Downloading: "downloaded", progress.Building: "built",
	progress.Uploading: "uploaded", progress.Writing: "wrote",
}

// Start implements progress.Log.
func (s *say) Start(verb progress.Verb, name string, total int64) progress.Task {
	t := &task{say: s, verb: verb, name: name}
	if s.bars != nil {
		t.bar = s.bar(verb, name, total)
	} else if s.verbose {
		s.line("%-11s %s", verb, name)
	}
	return t
}

func (s *say) bar(verb progress.Verb, name string, total int64) *mpb.Bar {
	label := mpb.PrependDecorators(decor.Name(printable(fmt.Sprintf("%-11s %s ", verb, name)), decor.WCSyncSpaceR))
	if total < 0 {
		return s.bars.AddSpinner(0, label, mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.Current(decor.SizeB1000(0), "% .1f")))
	}
	return s.bars.AddBar(total, label, mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.Counters(decor.SizeB1000(0), "% .1f / % .1f")))
}

// task is a [progress.Task].
type task struct {
	say  *say
	verb progress.Verb
	name string
	done atomic.Int64
	bar  *mpb.Bar
}

func (t *task) Add(n int64) {
	t.done.Add(n)
	if t.bar != nil {
		t.bar.IncrInt64(n)
	}
}

func (t *task) Done(err error) {
	if t.bar != nil {
		t.bar.Abort(true)
	}
	unremarkable := t.verb == progress.Reading || t.verb == progress.Writing
	if err == nil && (t.say.verbose || !unremarkable) {
		t.say.line("%-11s %s (%s)", past[t.verb], t.name, bytes(t.done.Load()))
	}
}

// bytes writes a number of bytes for a person, in decimal units.
func bytes(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}

type syncWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *syncWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// printable replaces what could upset a terminal, or make one line look like
// two: names come from archives, images and registries.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
