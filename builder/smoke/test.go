package smoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"laminate/packager/config"
)

// Test builds an app, launches a process of the app image, the default one unless its smoke.toml says
// otherwise, and checks both. It returns what was built too, or nil. The caller must close that.
func (s *Session) Test(ctx context.Context, a App) (Result, *Built) {
	begun := time.Now()
	result := Result{App: a.Dir}
	dir, remove, err := s.workDir(a)
	var built *Built
	var failures []Failure
	if err == nil {
		if a.KeepIn != "" {
			result.Kept = dir
			if s.Cache != nil {
				result.Root = s.Root()
			}
		}
		built, failures, err = s.test(ctx, a, dir, &result)
		result.Set(err, failures)
		if result.Status != Passed {
			if kept := result.keepLogs(a.Logs); kept != nil {
				s.Log.Warn(fmt.Sprintf("logs of %s are not kept: %v", a.Dir, kept))
			}
		}
		if built == nil {
			err = errors.Join(err, remove())
		} else {
			built.remove = remove
		}
	}
	result.Seconds = time.Since(begun).Seconds()
	result.Set(err, failures)
	result.unseen(a.LayerWrites)
	return result, built
}

// test is Test in an empty directory.
func (s *Session) test(ctx context.Context, a App, dir string, result *Result) (*Built, []Failure, error) {
	want, found, err := Expected(a.Dir)
	if err != nil {
		return nil, nil, err
	}
	result.Warnings = append(result.Warnings, projectWarnings(a.Dir)...)
	a.Env = slices.Concat(want.BuildEnv, a.Env) // the last value of a name counts
	built, err := s.logged(ctx, a, dir, "build", result)
	if err != nil {
		return nil, nil, err
	}
	log := result.Phases[0].file
	judged := result.judge(a.LayerWrites, built)
	if built.Stopped != nil {
		return built, judged, context.Cause(ctx)
	}
	came := Outcome{ExitCode: built.ExitCode, App: built.App, Log: func() (io.ReadCloser, error) { return os.Open(log) }}
	if built.App != nil {
		digest, err := built.App.Digest()
		if err != nil {
			return nil, nil, err
		}
		result.Image = digest.String()
		if want.Launch != nil || want.ExitCode == 0 && defaultProcess(built.App.Config.Config.Entrypoint) != "" {
			if came.Launch, err = s.launch(ctx, built, want.Launch, result); err != nil {
				return nil, nil, err
			}
		}
	}
	failures := append(Check(ctx, want, came), unasked(want, found, came)...)
	if len(failures) > 0 {
		result.hint(a.LayerWrites, built)
	}
	failures = append(failures, judged...)
	if a.Twice && built.App != nil && ctx.Err() == nil {
		more, err := s.again(ctx, a, built, result)
		if err != nil {
			return nil, nil, err
		}
		failures = append(failures, more...)
	}
	return built, failures, context.Cause(ctx)
}

// unasked returns what is wrong with the default process where no smoke.toml has a [launch]: the launcher has
// to start it and, without a smoke.toml, there has to be one.
func unasked(want config.Smoke, found bool, came Outcome) []Failure {
	switch {
	case want.Launch != nil || came.App == nil:
	case came.Launch != nil && came.Launch.Err != nil:
		return []Failure{{Message: fmt.Sprintf("default process did not start: %v", came.Launch.Err)}}
	case came.Launch == nil && !found:
		return []Failure{{Message: "there is no default process; a smoke.toml beside the app may say that none is expected"}}
	}
	return nil
}

// logged builds an app in an empty directory as a phase of a test, whose log is a file there.
func (s *Session) logged(ctx context.Context, a App, dir, name string, result *Result) (*Built, error) {
	log := filepath.Join(dir, name+".log")
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	printed := a.Output
	if a.Output = io.Writer(f); printed != nil {
		a.Output = io.MultiWriter(f, printed)
	}
	built, err := s.build(ctx, a, dir)
	err = errors.Join(err, f.Close())
	result.Phases = append(result.Phases, phase(name, log, built))
	if err != nil {
		return nil, err
	}
	return built, nil
}

// launch launches the process that is wanted.
func (s *Session) launch(ctx context.Context, built *Built, want *config.SmokeLaunch, result *Result) (*Launched, error) {
	begun := time.Now()
	dir := filepath.Join(built.dir, "launch")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	launched, err := launch(ctx, launchOptions{app: built.App, want: want, limits: s.Limits, workDir: dir, log: s.Log})
	p := Phase{Name: "launch", Seconds: time.Since(begun).Seconds(), file: filepath.Join(dir, launchLog)}
	if err != nil {
		result.Phases = append(result.Phases, p)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("launch: %w", err)
	}
	if launched.Ended {
		p.ExitCode = &launched.ExitCode
	}
	if r, err := launched.Log(); err == nil {
		p.Log, _ = Excerpt(r) // the checks report a log that cannot be read
		r.Close()
	}
	result.Phases = append(result.Phases, p)
	return launched, nil
}

// phase describes the build.
func phase(name, log string, built *Built) Phase {
	p := Phase{Name: name, file: log}
	if built != nil {
		p.Seconds = built.Took.Seconds()
		if built.Stopped == nil {
			p.ExitCode = &built.ExitCode
		}
	}
	if r, err := os.Open(log); err == nil {
		p.Log, _ = Excerpt(r) // the checks report a log that cannot be read
		r.Close()
	}
	return p
}

// Expected reads the smoke.toml beside an app, if there is one. Without one, the app must build, and the
// launcher must start the default process.
func Expected(app string) (want config.Smoke, found bool, err error) {
	want, err = config.ReadSmoke(filepath.Join(app, config.SmokeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return config.Smoke{}, false, nil
	}
	return want, true, err
}
