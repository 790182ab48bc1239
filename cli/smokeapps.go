package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"laminate/builder/smoke"
	"laminate/packager/sink"
)

// apps tests all apps, some of them at the same time, and returns the results in the order of the apps, also
// if the run is interrupted.
func (s *smokeRun) apps(ctx context.Context, tests *smoke.Session) ([]smoke.Result, error) {
	dirs := s.c.StringSlice("app")
	names := appNames(dirs)
	logs := sync.OnceValues(s.logsDir)
	results := make([]smoke.Result, len(dirs))
	ended := s.inOrder(results)
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(s.c.Int("jobs"))
	tested := 0
	for i, dir := range dirs {
		g.Go(func() (err error) {
			result := smoke.Result{App: dir}
			result.Set(errors.New("it was not tested, since the run was ended before"), nil)
			if within.Err() == nil {
				result, err = s.app(within, tests, dir, names[i], logs)
			}
			if err != nil {
				result.Set(err, result.Failures)
			}
			return errors.Join(err, ended(i, result, within.Err() == nil, &tested))
		})
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return results, &keptError{context.Cause(ctx), fmt.Sprintf("%d of %s tested", tested, count(len(dirs), "app"))}
	}
	return results, err
}

// inOrder returns a function that takes the result of an app, and counts it if it is whole. It prints the
// results in the text form, in the order of the apps, as soon as it has those before. While several apps draw
// progress bars, they are not printed.
func (s *smokeRun) inOrder(results []smoke.Result) func(i int, r smoke.Result, whole bool, tested *int) error {
	var mu sync.Mutex
	has := make([]bool, len(results))
	prints := s.format == "text" && (s.ui.bars == nil || s.c.Int("jobs") == 1)
	return func(i int, r smoke.Result, whole bool, tested *int) error {
		mu.Lock()
		defer mu.Unlock()
		results[i], has[i] = r, true
		if whole {
			*tested++
		}
		for prints && s.printed < len(results) && has[s.printed] {
			s.printed++
			if err := s.printApp(results[s.printed-1]); err != nil {
				return standardOutput(err)
			}
		}
		return nil
	}
}

// app tests one app, and writes its image if the user asks for it.
func (s *smokeRun) app(ctx context.Context, tests *smoke.Session, dir, name string, logs func() (string, error)) (_ smoke.Result, err error) {
	limited, cancel := context.WithTimeoutCause(ctx, s.c.Duration("timeout"), fmt.Errorf("app %s took longer than --timeout %s", dir, s.c.Duration("timeout")))
	defer cancel()
	a := s.each
	a.Dir, a.Env, a.Network, a.CacheDir = dir, s.env, s.network, s.c.String("cache")
	a.LayerWrites, a.Output = smoke.LayerWrites(s.c.String("layer-writes")), s.progress(name)
	a.Twice = s.c.Bool("twice")
	a.Logs = func() (string, error) {
		all, err := logs()
		return filepath.Join(all, name), err
	}
	if s.c.Bool("keep") {
		// A name that is none of a work directory, since those are removed by the next run.
		if a.KeepIn, err = os.MkdirTemp(s.tempDir(), "laminate-smoke-"+name+"-"); err != nil {
			return smoke.Result{}, err
		}
	}
	result, built := tests.Test(limited, a)
	defer func() { err = errors.Join(err, built.Close()) }()
	if ctx.Err() != nil && result.Status == smoke.Broken {
		result.Error = "interrupted"
	}
	if s.layout.Path == "" || built == nil || built.App == nil {
		return result, nil
	}
	_, err = sink.Write(ctx, s.layout, []sink.Image{{Image: built.App, Target: built.App.Target}}, sink.Options{Log: s.ui})
	return result, err
}

// progress returns where the lifecycle's output goes: to standard error, if the user asks for it.
func (s *smokeRun) progress(name string) io.Writer {
	switch {
	case !anywhere(s.c, "verbose"):
		return nil
	case len(s.c.StringSlice("app")) > 1:
		return &prefixWriter{to: s.ui.lines, prefix: name + " | "}
	}
	return s.ui.lines
}

// prefixWriter writes whole lines, each with a prefix, so that those of several apps can be told apart.
type prefixWriter struct {
	to     io.Writer
	prefix string
	line   []byte
}

// prefixedLine is how much of a line waits for its end.
const prefixedLine = 64 << 10

func (w *prefixWriter) Write(p []byte) (int, error) {
	for _, b := range p {
		if b != '\n' {
			w.line = append(w.line, b)
		}
		if b == '\n' || len(w.line) == prefixedLine {
			if _, err := fmt.Fprintf(w.to, "%s%s\n", w.prefix, w.line); err != nil {
				return 0, err
			}
			w.line = w.line[:0]
		}
	}
	return len(p), nil
}

// appNames returns a name for each app that can be one of a directory, and differs from the others.
func appNames(dirs []string) []string {
	names := make([]string, len(dirs))
	for i, dir := range dirs {
		name := filepath.Base(dir)
		if abs, err := filepath.Abs(dir); err == nil {
			name = filepath.Base(abs)
		}
		if name = strings.Trim(fileNames.Replace(name), "."); name == "" {
			name = "app"
		}
		unique := name
		for n := 2; slices.Contains(names[:i], unique); n++ {
			unique = fmt.Sprintf("%s-%d", name, n)
		}
		names[i] = unique
	}
	return names
}

// fileNames replaces what os.MkdirTemp and shells do not take in a name.
var fileNames = strings.NewReplacer("/", "-", "\\", "-", "*", "-", " ", "-", "\n", "-")

// logRuns is how many runs have their logs kept in the cache.
const logRuns = 20

// logsDir returns the directory for the logs of this run: that of --logs; or a new one beside laminate's
// cache, where those of the oldest runs are removed; or, without a cache, a temporary one.
func (s *smokeRun) logsDir() (string, error) {
	if dir := s.c.String("logs"); dir != "" {
		return dir, nil
	}
	if s.cache == nil {
		return os.MkdirTemp(s.tempDir(), "laminate-smoke-logs-")
	}
	all := s.smokeLogs()
	if err := os.MkdirAll(all, 0o700); err != nil {
		return "", err
	}
	earlier, err := os.ReadDir(all) // the oldest first, by their names
	if err != nil {
		return "", err
	}
	for len(earlier) >= logRuns {
		if err := os.RemoveAll(filepath.Join(all, earlier[0].Name())); err != nil {
			return "", err
		}
		earlier = earlier[1:]
	}
	return os.MkdirTemp(all, time.Now().UTC().Format("20060102T150405.000-"))
}

// smokeLogs is the directory with the logs of the last runs of "builder smoke".
func (r *run) smokeLogs() string { return filepath.Join(r.cacheDir(), "smoke-logs") }
