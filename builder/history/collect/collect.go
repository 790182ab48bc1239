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

// Images is a repository. [source.Repository] is one.
type Images interface {
	Tags(context.Context) ([]string, error)
	Image(ctx context.Context, tag string, target flatten.Target) (*image.Image, error)
}

// DefaultJobs is how many images are read at once where Options say nothing.
const DefaultJobs = 8

const (
	// perStep is how many images a job reads before what was read is taken in.
	perStep = 4
	// saveAfter is how many releases may be lost when the process is killed, or
	// a tenth of those that are there: saving writes all of them.
	saveAfter = 32
	// maxWarnings are told one by one.
	maxWarnings = 20
)

// Options say what is collected.
type Options struct {
	// Builder is the name of the repository.
	Builder string
	Images  Images
	// Target is the platform whose images count.
	Target flatten.Target
	// Have is a history that was collected before, or nil. It stays, whatever
	// the options below say, and what it has is not read again.
	Have *history.File
	// Since is the version from which on releases are read; "" is the first.
	Since string
	// After is the time before which none may be made, where it is set:
	// releases are read down from the newest, up to the first that is older.
	After time.Time
	// Last is how many versions count, the newest; 0 is all.
	Last int
	// Jobs is how many images are read at once; 0 is DefaultJobs.
	Jobs int
	// Save, where it is set, is given the history as far as it was collected,
	// every now and then and at the end, if there was anything to add.
	Save func(*history.File) error
	Log  progress.Log // nil is progress.Discard
}

// Result is what was collected.
type Result struct {
	History *history.File
	// Read is how many releases were read; History has those of Options.Have
	// besides.
	Read int
	// LeftOut is how many versions are no builders for the platform, or
	// cannot be understood: the log has been told which.
	LeftOut int
	// Others is how many tags are no versions.
	Others int
}

// UnfinishedError is a run that the registry, or whoever cancelled it, has
// ended: the same one goes on, given what was saved.
type UnfinishedError struct{ Err error }

func (e *UnfinishedError) Error() string { return e.Err.Error() }
func (e *UnfinishedError) Unwrap() error { return e.Err }

// Run collects. Images that are no builders, or that contradict themselves,
// are left out with a warning, and the history's notes name them. What the
// registry does not give ends the run with an [UnfinishedError]: what was saved
// until then remains, and is good for Options.Have.
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
		o.Log.Warn(fmt.Sprintf("%s: %d more versions are left out", o.Builder, n))
	}
	if len(c.releases) == 0 {
		return nil, fmt.Errorf("%s: none of the %d versions is a builder for %s", o.Builder, len(versions), o.Target)
	}
	result.History, err = c.file()
	return result, err
}

// choose returns the versions that have to be read, the newest first.
func (o Options) choose(versions []string, c *collection) ([]string, error) {
	if len(versions) == 0 {
		return nil, fmt.Errorf("%s: none of its tags is a version", o.Builder)
	}
	if o.Since != "" {
		if !IsVersion(o.Since) {
			return nil, fmt.Errorf("%q is no version", o.Since)
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

// run is one run of [Run].
type run struct {
	Options
	collection *collection
	result     *Result
}

// readAll reads the images step by step, each step's at once, and takes them
// in in their order.
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

// take takes in what a step read, the newest first, and tells whether all else
// is too old. Where reading has failed, what lies above the first hole is
// taken in.
func (r *run) take(versions []string, readings []*reading, errs []error) (over bool, err error) {
	for i, v := range versions {
		err := errs[i]
		switch {
		case err == nil && readings[i] == nil, isFinal(err):
			return false, nil // readAll knows why
		case err == nil && !r.After.IsZero() && readings[i].release.Date.IsZero():
			return true, fmt.Errorf("%s:%s does not say when it was made: a date cannot be the limit; name a version", r.Builder, v)
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
			r.Log.Warn(fmt.Sprintf("%s is left out: %s", name, registry.Shorten(strings.TrimPrefix(err.Error(), name+": "))))
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

// isFinal reports what ends a run from what is wrong with one image. An image
// that is listed and not there is of the second kind.
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
