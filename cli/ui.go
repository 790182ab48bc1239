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

// ui prints the progress of a run to standard error: on a terminal, bars that disappear at the end,
// and a line for the outcome of each layer; elsewhere, lines only. It is a [progress.Log].
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

// begin starts the output of a run. The caller must call end.
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

// end removes the bars from the terminal. Lines may still be printed afterwards.
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
		fmt.Fprintln(u.lines, printable(fmt.Sprintf(format, args...))) // an error of standard error cannot be reported
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

// bytes formats a number of bytes, in decimal units.
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

// printable replaces characters that could corrupt a terminal or break a line: names come from
// archives, images and registries.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
