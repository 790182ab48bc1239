package release

import (
	"context"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/mod/semver"
	"golang.org/x/sync/errgroup"

	"laminate/packager/source"
)

// Tag is a tag in a repository.
type Tag struct {
	Repository, Name string
	// Versioned tags have the version of the release in them.
	Versioned bool
	// Now is what it pointed to when the release was prepared; zero if nothing.
	Now v1.Hash
}

// Ref returns the reference.
func (t *Tag) Ref() string { return t.Repository + ":" + t.Name }

// refs returns the references of the item's tags.
func (i *Item) refs() []string {
	refs := []string{}
	for _, t := range i.Tags {
		refs = append(refs, t.Ref())
	}
	return refs
}

// State is what there is to do.
type State string

// The states.
const (
	// Unchanged means that what was created is released already, under another version.
	Unchanged State = "unchanged"
	// Released means that all tags point to what was created.
	Released State = "released"
	// Pending means that something is to be published.
	Pending State = "pending"
)

// lookJobs is how many tags are asked for at one time.
const lookJobs = 8

// look reads what the tags of all items point to. Without a version there are no versioned tags. The
// others stay if this is a prerelease, or with a newer version, if one is released: the run may be one of
// long ago, repeated.
func (r *Release) look(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookJobs)
	for _, item := range r.Items {
		stay := r.stay(item)
		for _, name := range item.Repositories {
			repository, err := r.Open.Repository(ctx, name)
			if err != nil {
				return err
			}
			for _, t := range item.ReleaseImage.Tags {
				if t.Versioned() && r.Version == "" || !t.Versioned() && stay {
					continue
				}
				tag := &Tag{Repository: name, Name: t.For(r.Version, item.ReleaseImage), Versioned: t.Versioned()}
				item.Tags = append(item.Tags, tag)
				group.Go(func() (err error) {
					if tag.Now, err = repository.Digest(ctx, tag.Name); source.IsAbsent(err) {
						return nil // some registries hide repositories that a push creates
					}
					return err
				})
			}
		}
	}
	return group.Wait()
}

// stay reports whether the tags without a version stay, and warns that they do.
func (r *Release) stay(item *Item) bool {
	if r.Force {
		return false
	}
	if semver.Prerelease(canonical(r.Version)) != "" {
		r.Engine.Log.Warn(fmt.Sprintf("%s: %s is a prerelease; only tags with the version are written", item.Title(), r.Version))
		return true
	}
	if item.newer == "" {
		return false
	}
	r.Engine.Log.Warn(fmt.Sprintf("%s: %s is released, which is newer; only tags with the version are written", item.Title(), item.newer))
	return true
}

// lookAgain reads the version tags once more, right before they are written: the tests took their
// time, and another run may have released the version, or a newer one. All repositories exist now, so
// what a registry does not show may be there.
func (r *Release) lookAgain(ctx context.Context) error {
	return r.each(func(item *Item) error {
		if err := r.listAgain(ctx, item); err != nil {
			return err
		}
		var errs []error
		for _, t := range item.Tags {
			if !t.Versioned {
				continue
			}
			repository, err := r.Open.Repository(ctx, t.Repository)
			if err != nil {
				return err
			}
			t.Now, err = repository.Digest(ctx, t.Name)
			switch {
			case err == nil:
				errs = append(errs, r.conflict(item, t))
			case !source.IsAbsent(err):
				return &ItemError{item.Title(), err}
			case !r.Force:
				errs = append(errs, fmt.Errorf("%s: tag %s cannot be read, and may exist: %w; --force writes it", item.Title(), t.Ref(), err))
			}
		}
		return errors.Join(errs...)
	})
}

// listAgain lists the tags once more, and drops those that move if a newer version is released now.
func (r *Release) listAgain(ctx context.Context, item *Item) error {
	template := versioned(item.ReleaseImage.Tags)
	if template == "" || item.newer != "" {
		return nil
	}
	repository, err := r.Open.Repository(ctx, item.Repositories[0])
	if err != nil {
		return err
	}
	if _, err := r.list(ctx, item, repository, template); err != nil {
		return err
	}
	if r.stay(item) {
		item.Tags = slices.DeleteFunc(item.Tags, func(t *Tag) bool { return !t.Versioned })
	}
	return nil
}

// conflict returns an error for a version tag that points to something else.
func (r *Release) conflict(item *Item, t *Tag) error {
	if !t.Versioned || t.Now.Hex == "" || t.Now == item.Digest || r.Force {
		return nil
	}
	return fmt.Errorf("%s: tag %s points to %s, not to %s; release another version, or use --force", item.Title(), t.Ref(), t.Now, item.Digest)
}

// decide returns the state of the release.
func (r *Release) decide() (State, error) {
	var conflicts []error
	released, unchanged, begun := true, true, false
	for _, item := range r.Items {
		moving := false
		for _, t := range item.Tags {
			is := t.Now == item.Digest
			released = released && is
			switch {
			case !t.Versioned:
				moving, unchanged = true, unchanged && is
			case is:
				begun = true
			default:
				conflicts = append(conflicts, r.conflict(item, t))
			}
		}
		if !moving {
			unchanged = unchanged && item.Last != nil && item.Last.Digest == item.Digest
		}
	}
	conflict := errors.Join(conflicts...)
	switch {
	case released && r.Version != "":
		return Released, nil
	case unchanged && !begun && !(r.Force && r.Version != ""):
		return Unchanged, nil
	case conflict != nil:
		return "", conflict
	case r.Version == "":
		return Pending, ErrNoVersion
	}
	return Pending, nil
}

// ErrNoVersion is the error of something to release without a version.
var ErrNoVersion = errors.New("there is something to release, but no version for it")
