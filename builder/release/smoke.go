package release

import (
	"context"
	"fmt"
	"os"
	"time"

	"laminate/builder/smoke"
	"laminate/builder/smoke/sandbox"
	"laminate/packager/config"
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/source"
)

// smokeTimeout is how long a build of an app may take, unless the config says otherwise.
const smokeTimeout = 30 * time.Minute

// smoke builds the apps with what was pushed, for the platform of this machine.
func (r *Release) smoke(ctx context.Context, item *Item, found *source.Platforms) ([]smoke.Result, error) {
	builder := forThis(found)
	if builder == nil {
		return nil, errOtherMachine
	}
	sessions := map[string]*smoke.Session{}
	defer func() {
		for _, s := range sessions {
			_ = s.Close() // it was only read
		}
	}()
	var results []smoke.Result
	for _, a := range item.ReleaseImage.Smoke {
		key := fmt.Sprintf("%q %q", a.RunImage, a.Buildpacks)
		s := sessions[key]
		if s == nil {
			var err error
			if s, err = r.session(ctx, builder, a); err != nil {
				return results, err
			}
			sessions[key] = s
		}
		result, err := r.app(ctx, s, a)
		if ctx.Err() != nil {
			return results, context.Cause(ctx) // what the app says is only that it was interrupted
		}
		if err != nil {
			return results, err
		}
		results = append(results, result)
	}
	return results, nil
}

// forThis returns the image for this machine, or nil.
func forThis(found *source.Platforms) *image.Image {
	for _, img := range found.Images {
		if isThis(img.Target) {
			return img
		}
	}
	return nil
}

// session opens a builder with the run image and the buildpacks of an app.
func (r *Release) session(ctx context.Context, builder *image.Image, app config.ReleaseSmoke) (*smoke.Session, error) {
	o := smoke.Options{Builder: builder, Opener: r.Open, Cache: r.Engine.Cache, WorkDir: r.Engine.WorkDir, Log: r.Engine.Log}
	for _, b := range app.Buildpacks {
		if at := r.path(b); isLocal(at) {
			b = at
		}
		o.Buildpacks = append(o.Buildpacks, b)
	}
	if app.RunImage != "" {
		at, err := location.ListedImage(app.RunImage, r.Config.Dir)
		if err == nil {
			o.RunImage, err = r.Open.Image(ctx, at, builder.Target)
		}
		if err != nil {
			return nil, &smoke.RunImageError{Err: err}
		}
	}
	return smoke.Open(ctx, o)
}

// isLocal reports whether there is a file or directory.
func isLocal(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// app builds one app.
func (r *Release) app(ctx context.Context, s *smoke.Session, app config.ReleaseSmoke) (smoke.Result, error) {
	timeout := smokeTimeout
	if d, err := time.ParseDuration(app.Timeout); err == nil && d > 0 {
		timeout = d
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("app %s took longer than %s", app.App, timeout))
	defer cancel()
	a := smoke.App{Dir: r.path(app.App), Env: app.Env, LayerWrites: smoke.WarnOfWrites}
	if app.Network {
		a.Network = sandbox.Host
	}
	result, built := s.Test(ctx, a)
	result.App = app.App
	return result, built.Close()
}
