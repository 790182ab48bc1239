package cli

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"laminate/packager/cache"
	"laminate/packager/registry"
	"laminate/packager/source"
)

// session is the common part of the commands that read images: the work directory, the cache and
// the progress of one run.
type session struct {
	*run
	c *cli.Context

	policy  source.PullPolicy
	workDir string
	jobs    int // most requests to a registry at the same time; 0 for the default
	ui      *ui
	cache   *cache.Cache // nil if there is none
	open    *source.Opener
}

// within creates the work directory, begins the output, does the work, and cleans up, including
// what earlier killed runs left.
func (s *session) within(ctx context.Context, do func(context.Context) error) (err error) {
	work, err := s.makeWorkDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(inTempDir(s.tempDir(), err), work.Remove()) }()
	s.ui = s.begin(s.c)
	defer s.finish(ctx)
	return do(ctx)
}

// openSources opens the cache and prepares for reading sources.
func (s *session) openSources() {
	s.cache = s.openCache()
	s.open = &source.Opener{
		Keychain: s.openKeychain(s.ui.Warn), Pool: s.openPool(), Insecure: s.list("insecure-registry"),
		Daemon: s.dockerDaemon(), PullPolicy: s.policy, DryRun: s.c.Bool("dry-run"),
		Cache: s.cache, WorkDir: s.workDir, Log: s.ui,
	}
}

// openPool returns what all requests of the run share.
func (s *session) openPool() *registry.Pool {
	if s.pool == nil {
		s.pool = registry.NewPool(s.jobs)
	}
	return s.pool
}
