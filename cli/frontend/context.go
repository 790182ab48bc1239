package frontend

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"

	"laminate/cli/frontend/gitignore"
	"laminate/packager/config"
)

// app is the build context, without what the project descriptor and .dockerignore leave out.
type app struct {
	state   llb.State
	ref     client.Reference // of the state
	removed []string         // paths that the project descriptor leaves out
}

// maxContext is how many directories and files of a build context are looked at.
const maxContext = 1_000_000

// readContext finds out which files of the build context belong to the app. BuildKit does not transfer
// what .dockerignore names, nor most of what the project descriptor excludes. Its patterns are others than
// BuildKit's, so that all that is there is matched, path by path, unless no pattern can concern it.
func (b *build) readContext(ctx context.Context) error {
	ignored, err := b.ui.DockerIgnorePatterns(ctx)
	if err != nil {
		return fmt.Errorf("build context: %w", plain(err))
	}
	if !b.hasURIs() {
		ignored = slices.Concat(ignored, gitignore.Dockerignore(b.project.Exclude))
	}
	state, err := b.ui.MainContext(ctx, llb.ExcludePatterns(ignored))
	if err != nil {
		return fmt.Errorf("build context: %w", plain(err))
	}
	b.app = app{state: *state}
	if b.app.ref, err = b.solve(ctx, b.app.state); err != nil {
		return fmt.Errorf("build context: %w", plain(err))
	}
	patterns, include := b.project.Exclude, false
	if len(b.project.Include) > 0 {
		patterns, include = b.project.Include, true
	}
	if len(patterns) == 0 {
		return nil
	}
	f := filter{ref: b.app.ref, patterns: gitignore.Parse(patterns), include: include}
	stays, err := f.walk(ctx, "")
	if err != nil {
		return fmt.Errorf("build context: %w", plain(err))
	}
	if f.seen == 0 {
		return errors.New("the build context is empty, or exclude and .dockerignore leave nothing of it")
	}
	if !stays {
		return errors.New("include and exclude leave nothing of the build context")
	}
	b.app.removed = f.removed
	return nil
}

// hasURIs reports whether buildpacks may be in the build context, and not in the app.
func (b *build) hasURIs() bool {
	return slices.ContainsFunc(slices.Concat(b.project.Group, b.project.Pre, b.project.Post), func(e config.ProjectBuildpack) bool { return e.URI != "" })
}

// filter finds what has to be removed from a tree.
type filter struct {
	ref      client.Reference
	patterns gitignore.Patterns
	include  bool // keeps what matches, instead of removing it
	seen     int
	removed  []string
}

// walk looks at what is in a directory. It reports whether something of it stays.
func (f *filter) walk(ctx context.Context, dir string) (stays bool, err error) {
	entries, err := f.ref.ReadDir(ctx, client.ReadDirRequest{Path: path.Join("/", dir)})
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if f.seen++; f.seen > maxContext {
			return false, fmt.Errorf("more than %d files and directories; leave some out with .dockerignore", maxContext)
		}
		name := path.Join(dir, path.Base(e.Path))
		keep := f.patterns.Match(name) == f.include
		if e.IsDir() {
			if keep, err = f.directory(ctx, name, keep); err != nil {
				return false, err
			}
		}
		if keep {
			stays = true
		} else {
			f.removed = append(f.removed, name)
		}
	}
	return stays, nil
}

// directory looks at a directory, which stays by itself if keep is set. It reports whether it stays.
func (f *filter) directory(ctx context.Context, name string, keep bool) (bool, error) {
	verdict := f.patterns.In(name)
	switch all := verdict == gitignore.All; {
	case verdict != gitignore.Some && all == f.include:
		return true, nil
	case verdict != gitignore.Some && !keep:
		return false, nil
	}
	begin := len(f.removed)
	stays, err := f.walk(ctx, name)
	if !stays && !keep {
		f.removed = f.removed[:begin] // with the directory
	}
	return stays || keep, err
}

// workspace returns the app in the directory /app, as the lifecycle's user owns it.
func (a app) workspace(uid, gid int) llb.State {
	owner := llb.WithUIDGID(uid, gid)
	files := llb.Mkdir("/app", 0o755, owner).Copy(a.state, "/", "/app", &llb.CopyInfo{CopyDirContentsOnly: true}, owner)
	for _, name := range a.removed {
		files = files.Rm(path.Join("/app", name))
	}
	return llb.Scratch().File(files, llb.WithCustomName("[internal] copy the app"))
}

// solve returns the reference of a state, which BuildKit may not have computed yet.
func (b *build) solve(ctx context.Context, state llb.State, opts ...llb.ConstraintsOpt) (client.Reference, error) {
	def, err := state.Marshal(ctx, append(opts, llb.WithCaps(b.BuildOpts().LLBCaps))...)
	if err != nil {
		return nil, err
	}
	result, err := b.Solve(ctx, client.SolveRequest{Definition: def.ToPB(), CacheImports: b.ui.CacheImports})
	if err != nil {
		return nil, err
	}
	ref, err := result.SingleRef()
	if err == nil && ref == nil {
		err = errors.New("there are no files")
	}
	return ref, err
}
