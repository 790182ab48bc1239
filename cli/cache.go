package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"laminate/flatten"
	"laminate/packager/cache"
	"laminate/packager/scratch"
)

const cacheDescription = `The cache keeps what was built or downloaded for later runs. It is the directory LAMINATE_CACHE_DIR, or else laminate in the user's cache directory, and holds at most 10 GB: least recently used entries are removed first. Entries are verified when they are read. The cache may be removed at any time, also while other runs use it. A run that cannot use it goes on without it, with a warning. --no-cache disables it for a run.`

// cacheCommand is "cache".
func (r *run) cacheCommand() *cli.Command {
	command := func(name, usage string, do func(context.Context) error) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, Description: cacheDescription, UsageText: "laminate cache " + name, HideHelpCommand: true, Flags: commonFlags(),
			Action: func(c *cli.Context) error {
				if c.Args().Present() {
					return wrongUse(c, "unexpected argument %q", flatten.Clip(c.Args().First()))
				}
				return do(c.Context)
			},
		}
	}
	return &cli.Command{
		Name: "cache", Usage: "inspect or clean the cache", Description: cacheDescription, UsageText: cacheExamples, HideHelpCommand: true,
		Subcommands: []*cli.Command{
			command("info", "print where the cache is and what it holds", func(ctx context.Context) error {
				return r.withCache(ctx, r.printCache)
			}),
			command("clean", "empty the cache, and remove what killed runs left", func(ctx context.Context) error {
				return errors.Join(r.withCache(ctx, r.cleanCache), r.cleanTemp())
			}),
		},
	}
}

// withCache opens the cache for a command about the cache. It does not create a missing one.
func (r *run) withCache(ctx context.Context, do func(context.Context, *cache.Cache, string) error) error {
	dir := r.cacheDir()
	if dir == "" {
		return errors.New("no cache: neither LAMINATE_CACHE_DIR nor HOME is set; set one of them")
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		_, err := fmt.Fprintf(r.stdout, "%s: nothing is kept there yet\n", printable(dir))
		return err
	}
	c, err := cache.Open(dir, 0)
	if err != nil {
		return fmt.Errorf("cache: %w", adviseOnCache(err))
	}
	return errors.Join(do(ctx, c, dir), c.Close(ctx))
}

// kinds are descriptions of the kinds of cache entries.
var kinds = map[string]string{
	"http": "files from web servers", "layer": "layers that were built", "piece": "places of buildpacks in them",
	"report": "reports on layers of other tools", "rootfs": "unpacked root file systems", "seen": "buildpacks that were met",
}

// printCache prints the contents of the cache.
func (r *run) printCache(ctx context.Context, c *cache.Cache, dir string) error {
	info, err := c.Info(ctx)
	if err != nil {
		return fmt.Errorf("cache %s: %w", dir, err)
	}
	if _, err := fmt.Fprintf(r.stdout, "%s: %s of at most %s\n", printable(dir), bytes(info.Bytes), bytes(info.Limit)); err != nil {
		return err
	}
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, k := range info.Kinds {
		name := kinds[k.Name]
		if name == "" {
			name = k.Name
		}
		fmt.Fprintf(t, "%d\t%s\t  %s\n", k.Entries, bytes(k.Bytes), printable(name)) // Flush returns errors
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err = io.WriteString(r.stdout, table.String())
	return err
}

// cleanCache empties the cache.
func (r *run) cleanCache(ctx context.Context, c *cache.Cache, dir string) error {
	before, err := c.Info(ctx)
	if err = errors.Join(err, c.Clean(), os.RemoveAll(r.smokeLogs())); err != nil {
		return fmt.Errorf("cache %s: %w", dir, err)
	}
	_, err = fmt.Fprintf(r.stdout, "%s: removed %s\n", printable(dir), bytes(before.Bytes))
	return err
}

// cleanTemp removes the work directories of runs that were killed.
func (r *run) cleanTemp() error {
	n, size := scratch.Sweep(r.tempDir())
	if n == 0 {
		return nil
	}
	_, err := fmt.Fprintf(r.stdout, "%s: removed what %s had left, %s\n", printable(r.tempDir()), count(n, "killed run"), bytes(size))
	return err
}

// openCache opens the cache for a run that builds images. The run continues without a cache if
// there is none or it cannot be used.
func (s *session) openCache() *cache.Cache {
	dir := s.cacheDir()
	if dir == "" || s.c.Bool("no-cache") {
		return nil
	}
	c, err := cache.Open(dir, 0)
	if err != nil {
		s.warnOfCache(err)
	}
	return c
}

// finish ends the output, after the warnings of the cache. It may be called more than once.
func (s *session) finish(ctx context.Context) {
	if err := s.cache.Close(ctx); err != nil {
		s.warnOfCache(err)
	}
	s.cache = nil
	s.ui.end()
}

// dry prints a plan after the progress of planning has ended. The cache stays open until then,
// since a plan shows which layers come from it.
func (s *session) dry(ctx context.Context, plan func(io.Writer) error) error {
	var text strings.Builder
	if err := plan(&text); err != nil {
		return err
	}
	s.finish(ctx)
	_, err := io.WriteString(s.stdout, text.String())
	return err
}

func (s *session) warnOfCache(err error) {
	s.ui.Warn(fmt.Sprintf("the cache cannot be used, so what was made or fetched is not kept: %v", adviseOnCache(err)))
}

// adviseOnCache adds to an error what to do about a directory that the cache refuses.
func adviseOnCache(err error) error {
	if errors.Is(err, cache.ErrNotOwn) {
		return fmt.Errorf("%w; set LAMINATE_CACHE_DIR to a directory that only you can write to", err)
	}
	return err
}

// tempDir returns the directory for work directories.
func (r *run) tempDir() string { return cmp.Or(r.env("TMPDIR"), os.TempDir()) }

// cacheDir returns the cache directory, or "" if the environment does not determine one.
func (r *run) cacheDir() string {
	if dir := r.env("LAMINATE_CACHE_DIR"); dir != "" {
		return dir
	}
	if dir := r.env("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "laminate")
	}
	if dir := r.env("LocalAppData"); runtime.GOOS == "windows" && dir != "" {
		return filepath.Join(dir, "laminate")
	}
	if home := r.home(); home != "" {
		return filepath.Join(home, ".cache", "laminate")
	}
	return ""
}
