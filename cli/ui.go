package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8"
	"golang.org/x/term"
)

// ui prints to standard error how a run goes: bars on a terminal that
// disappear with the work, and a line for what became of each layer; lines
// alone elsewhere. It is a [progress.Log].
type ui struct {
	out     io.Writer   // standard error
	lines   *syncWriter // to standard error, above the bars
	bars    *mpb.Progress
	quiet   bool
	verbose bool
	colour  bool
	once    sync.Once
	begun   time.Time
	tally   tally
	pulse   pulse
}

// begin starts the output of a run. The caller ends it with end.
func (r *run) begin(c *cli.Context) *ui {
	s := &ui{out: r.stderr, quiet: anywhere(c, "quiet"), verbose: anywhere(c, "verbose"), begun: time.Now(), tally: tally{fates: map[string]*fate{}}}
	f, isFile := r.stderr.(*os.File)
	terminal := isFile && term.IsTerminal(int(f.Fd())) && r.env("TERM") != "dumb"
	s.colour = terminal && r.env("NO_COLOR") == "" && !anywhere(c, "no-color") || anywhere(c, "force-color")
	s.lines = &syncWriter{w: r.stderr}
	if terminal && !s.quiet {
		s.bars = mpb.NewWithContext(c.Context, mpb.WithOutput(r.stderr), mpb.WithWidth(30))
		s.lines.become(s.bars)
	} else if !s.quiet {
		ticker := time.NewTicker(pulseEvery)
		s.startPulse(ticker.C)
	}
	s.tellWithoutEffect(c)
	return s
}

// end takes the bars off the terminal. Lines may still be printed afterwards.
func (u *ui) end() {
	u.once.Do(func() {
		u.pulse.end()
		if u.bars != nil {
			u.bars.Shutdown()
			u.lines.become(u.out)
		}
	})
}

func (u *ui) line(format string, args ...any) {
	if !u.quiet {
		u.pulse.printed.Store(true)
		fmt.Fprintln(u.lines, printable(fmt.Sprintf(format, args...))) // an error of standard error has nowhere to go
	}
}

// Warn implements progress.Log.
func (u *ui) Warn(message string) {
	if u.quiet {
		return
	}
	word := "warning:"
	if u.colour {
		word = "\x1b[33mwarning:\x1b[0m"
	}
	u.pulse.printed.Store(true)
	fmt.Fprintln(u.lines, word, printable(message))
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

func (s *syncWriter) become(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.w = w
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
