package smoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"laminate/packager/config"
)

// Test builds an app, launches a process of the app image if its smoke.toml asks for it or there is none,
// and checks both. It returns the app image too, or nil. The image uses files in the work directory.
func Test(ctx context.Context, o BuildOptions) (Result, *Built) {
	begun := time.Now()
	result := Result{App: o.App}
	built, failures, err := test(ctx, o, &result)
	result.Seconds = time.Since(begun).Seconds()
	result.Set(err, failures)
	return result, built
}

func test(ctx context.Context, o BuildOptions, result *Result) (*Built, []Failure, error) {
	want, found, err := Expected(o.App)
	if err != nil {
		return nil, nil, err
	}
	o.Env = append(append([]config.EnvVar{}, o.Env...), want.BuildEnv...)
	log := filepath.Join(o.WorkDir, "build.log")
	f, err := os.Create(log)
	if err != nil {
		return nil, nil, err
	}
	printed := o.Output
	if o.Output = io.Writer(f); printed != nil {
		o.Output = io.MultiWriter(f, printed)
	}
	built, err := Build(ctx, o)
	err = errors.Join(err, f.Close())
	result.Phases = append(result.Phases, phase("build", log, built))
	if err != nil {
		return nil, nil, err
	}
	result.LayerWrites = built.LayerWrites
	if built.LayerWritesErr != nil {
		result.LayerWritesError = built.LayerWritesErr.Error()
	}
	came := Outcome{ExitCode: built.ExitCode, App: built.App, Log: func() (io.ReadCloser, error) { return os.Open(log) }}
	if built.App != nil {
		digest, err := built.App.Digest()
		if err != nil {
			return nil, nil, err
		}
		result.Image = digest.String()
		// Without any expectation, the launcher has to start the default process.
		if want.Launch != nil || !found {
			if came.Launch, err = o.launch(ctx, built, want.Launch, result); err != nil {
				return nil, nil, err
			}
		}
	}
	failures := Check(ctx, want, came)
	if !found && came.Launch != nil && came.Launch.Err != nil {
		failures = append(failures, Failure{Message: fmt.Sprintf("default process did not start: %v", came.Launch.Err)})
	}
	for _, p := range built.Left {
		failures = append(failures, Failure{Message: fmt.Sprintf("process %q outlived the build; it was ended", p.Name)})
	}
	return built, failures, ctx.Err()
}

// launch launches the process that is wanted.
func (o BuildOptions) launch(ctx context.Context, built *Built, want *config.SmokeLaunch, result *Result) (*Launched, error) {
	begun := time.Now()
	dir := filepath.Join(o.WorkDir, "launch")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	launched, err := launch(ctx, launchOptions{app: built.App, want: want, limits: o.Limits, workDir: dir, log: o.Log})
	if err != nil {
		return nil, fmt.Errorf("launch: %w", err)
	}
	p := Phase{Name: "launch", Seconds: time.Since(begun).Seconds()}
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
	p := Phase{Name: name}
	if built != nil {
		p.Seconds, p.ExitCode = built.Took.Seconds(), &built.ExitCode
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
