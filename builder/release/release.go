package release

import (
	"context"
	"errors"
)

// Release is a release whose images are in the work directory.
type Release struct {
	Options
	Items []*Item
	State State
	// Tagging reports that Publish has come to the tags, so that some may have moved.
	Tagging bool
}

// Prepare creates all images and compares them with what is released. It writes nothing but the work
// directory. What is wrong with the items is returned all at once, and before any image is built if
// it can be known then. With neither Force nor an equal digest, a version tag that exists is an error.
// With [ErrNoVersion] the release is complete, but cannot be published.
func Prepare(ctx context.Context, o Options) (*Release, error) {
	o.Engine = o.Engine.OrDefaults()
	if err := checkVersion(o.Version); err != nil {
		return nil, err
	}
	if err := checkTags(o.Config.Images, o.Version); err != nil {
		return nil, err
	}
	r := &Release{Options: o}
	if err := r.checkFiles(); err != nil {
		return nil, err
	}
	for _, img := range o.Config.Images {
		r.Items = append(r.Items, &Item{ReleaseImage: img})
	}
	if err := r.each(func(item *Item) (err error) {
		item.Last, err = r.findLast(ctx, item)
		return err
	}); err != nil {
		return nil, err
	}
	if err := r.each(func(item *Item) error { return r.plan(ctx, item) }); err != nil {
		return nil, err
	}
	for _, item := range r.Items {
		if err := r.build(ctx, item); err != nil {
			return nil, err
		}
		if err := r.describe(ctx, item); err != nil {
			return nil, &ItemError{item.Title(), err}
		}
	}
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	var err error
	r.State, err = r.decide()
	return r, err
}

// each calls f with each item, and joins the errors.
func (r *Release) each(f func(*Item) error) error {
	var errs []error
	for _, item := range r.Items {
		errs = append(errs, f(item))
	}
	return errors.Join(errs...)
}
