package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"laminate/packager/image"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/mod/semver"
	"golang.org/x/sync/errgroup"

	"laminate/builder/history"
	"laminate/flatten"
	"laminate/packager/progress"
	"laminate/packager/registry"
)

// Images is the images of a repository. [source.Repository] implements it.
type Images interface {
	Tags(context.Context) ([]string, error)
	Image(ctx context.Context, tag string, target flatten.Target) (*image.Image, error)
}

// DefaultJobs is the default of [Options.Jobs].
const DefaultJobs = 8

const (
	// perStep is how many images a job reads per step.
	perStep = 4
	// saveAfter is how many releases may be lost when the process is killed, at least a tenth of
	// all: saving writes the whole history.
	saveAfter = 32
	// maxWarnings is how many skipped versions are logged individually.
	maxWarnings = 20
)

// Options are the options of [Run].
type Options struct {
	// Builder is the name of the repository.
	Builder string
	Images  Images
	// Target is the platform to collect.
	Target flatten.Target
	// Have is an existing history to extend, or nil. Its releases are kept, whatever the options
	// below, and not read again.
	Have *history.File
	// Since is the first version to read; "" means all.
	Since string
	// After, if set, is the earliest creation time: releases are read from the newest down to the
	// first that is older.
	After time.Time
	// Last is how many of the newest versions to read; 0 means all.
	Last int
	// Jobs is how many images are read concurrently; 0 means DefaultJobs.
	Jobs int
	// Save, if set, is called with the history collected so far, periodically and at the end, if
	// releases were added.
	Save func(*history.File) error
	Log  progress.Log // nil means progress.Discard
}

// Result is the result of [Run].
type Result struct {
	History *history.File
	// Read is how many releases were read. History also has those of Options.Have.
	Read int
	// LeftOut is how many versions were skipped: not builders for the platform, or invalid. They
	// were logged.
	LeftOut int
	// Others is how many tags are not versions.
	Others int
}

// UnfinishedError reports that a run was ended by the registry or cancelled. It can be resumed from
// what was saved.
type UnfinishedError struct{ Err error }

func (e *UnfinishedError) Error() string { return e.Err.Error() }
func (e *UnfinishedError) Unwrap() error { return e.Err }

// Run collects a history. It skips images that are not builders, or are inconsistent, with a
// warning, and lists them in the notes. Errors of the registry end it with an [UnfinishedError]:
// what was saved before can be used as Options.Have.
func Run(ctx context.Context, o Options) (*Result, error) {
	if o.Log == nil {
		o.Log = progress.Discard
	}
	c, err := newCollection(o.Builder, o.Target, o.Have)
	if err != nil {
		return nil, err
	}
	tags, err := o.Images.Tags(ctx)
	if err != nil {
		return nil, err
	}
	versions, others := Versions(tags)
	result := &Result{Others: others}
	wanted, err := o.choose(versions, c)
	if err != nil {
		return nil, err
	}
	r := run{Options: o, collection: c, result: result}
	if err := r.readAll(ctx, wanted); err != nil {
		return nil, err
	}
	if n := result.LeftOut - maxWarnings; n > 0 {
		o.Log.Warn(fmt.Sprintf("%s: %d more versions skipped", o.Builder, n))
	}
	if len(c.releases) == 0 {
		return nil, fmt.Errorf("%s: none of the %d versions is a builder for %s", o.Builder, len(versions), o.Target)
	}
	result.History, err = c.file()
	return result, err
}

// choose returns the versions to read, the newest first.
func (o Options) choose(versions []string, c *collection) ([]string, error) {
	if len(versions) == 0 {
		return nil, fmt.Errorf("%s: none of its tags is a version", o.Builder)
	}
	if o.Since != "" {
		if !IsVersion(o.Since) {
			return nil, fmt.Errorf("invalid version %q", o.Since)
		}
		versions = slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return semver.Compare(canonical(v), canonical(o.Since)) < 0 })
		if len(versions) == 0 {
			return nil, fmt.Errorf("%s: no version is %s or newer", o.Builder, o.Since)
		}
	}
	if n := len(versions) - o.Last; o.Last > 0 && n > 0 {
		versions = versions[n:]
	}
	var wanted []string
	for _, v := range slices.Backward(versions) {
		if !o.After.IsZero() {
			if date, has := c.date(v); has && date.Before(o.After) && !date.IsZero() {
				break
			}
		}
		if !c.has(v) {
			wanted = append(wanted, v)
		}
	}
	return wanted, nil
}

// run is the state of [Run].
type run struct {
	Options
	collection *collection
	result     *Result
}

// readAll reads the images in steps, concurrently within each, and adds them in order.
func (r *run) readAll(ctx context.Context, versions []string) error {
	jobs := cmp.Or(r.Jobs, DefaultJobs)
	for step := range slices.Chunk(versions, jobs*perStep) {
		readings, errs := make([]*reading, len(step)), make([]error, len(step))
		g, within := errgroup.WithContext(ctx)
		g.SetLimit(jobs)
		for i, v := range step {
			g.Go(func() error {
				readings[i], errs[i] = r.read(within, v)
				if isFinal(errs[i]) {
					return errs[i]
				}
				return within.Err()
			})
		}
		failed := g.Wait()
		over, err := r.take(step, readings, errs)
		if failed != nil {
			failed = &UnfinishedError{Err: failed}
		}
		if err := errors.Join(failed, err); err != nil {
			return errors.Join(err, r.save())
		}
		if over {
			break
		}
		if r.collection.unsaved >= max(saveAfter, len(r.collection.releases)/10) {
			if err := r.save(); err != nil {
				return err
			}
		}
	}
	return r.save()
}

func (r *run) read(ctx context.Context, version string) (_ *reading, err error) {
	task := r.Log.Start(progress.Reading, progress.Subject{Name: r.Builder + ":" + version}, -1)
	defer func() { task.Done(err) }()
	base, err := r.Images.Image(ctx, version, r.Target)
	if err != nil {
		return nil, err
	}
	return newReading(r.Builder, version, base)
}

// take adds the releases of a step, the newest first, and reports whether the rest is too old.
// After an error, it adds only those before the first failure.
func (r *run) take(versions []string, readings []*reading, errs []error) (over bool, err error) {
	for i, v := range versions {
		err := errs[i]
		switch {
		case err == nil && readings[i] == nil, isFinal(err):
			return false, nil // readAll has the error
		case err == nil && !r.After.IsZero() && readings[i].release.Date.IsZero():
			return true, fmt.Errorf("%s:%s has no creation date; limit by version instead", r.Builder, v)
		case err == nil && readings[i].release.Date.Before(r.After):
			return true, nil
		case err == nil:
			err = r.collection.add(readings[i])
		}
		if err == nil {
			r.result.Read++
			continue
		}
		r.collection.leaveOut(v)
		if r.result.LeftOut++; r.result.LeftOut <= maxWarnings {
			name := r.Builder + ":" + v
			r.Log.Warn(fmt.Sprintf("%s skipped: %s", name, registry.Shorten(strings.TrimPrefix(err.Error(), name+": "))))
		}
	}
	return false, nil
}

func (r *run) save() error {
	if r.Save == nil || r.collection.unsaved == 0 || len(r.collection.releases) == 0 {
		return nil
	}
	f, err := r.collection.file()
	if err != nil {
		return err
	}
	r.collection.unsaved = 0
	return r.Save(f)
}

// isFinal reports whether an error ends the run, rather than just skipping an image. A listed image
// that does not exist is skipped.
func isFinal(err error) bool {
	var answer *transport.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return false
	}
	return err != nil && registry.IsNetwork(err)
}
