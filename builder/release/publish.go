package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"laminate/builder/smoke"
	"laminate/flatten"
	"laminate/packager/source"
	"laminate/packager/verify"
)

// Publish publishes the release, if there is something to do, and returns what was done. Tags are
// moved only if everything before has succeeded, for all items. The report is complete up to an
// error.
func (r *Release) Publish(ctx context.Context) (*Report, error) {
	report := r.Report()
	if r.State != Pending {
		return report, nil
	}
	if r.Version == "" {
		return report, ErrNoVersion
	}
	if err := r.checkMachine(); err != nil {
		return report, err
	}
	for i, item := range r.Items {
		if err := r.Registry.Push(ctx, item.Repositories[0], item.Images); err != nil {
			return report, &ItemError{item.Title(), err}
		}
		if err := r.test(ctx, item, &report.Items[i]); err != nil {
			return report, &ItemError{item.Title(), err}
		}
	}
	if err := r.failed(report); err != nil {
		return report, err
	}
	for _, item := range r.Items {
		if err := r.promote(ctx, item); err != nil {
			return report, &ItemError{item.Title(), err}
		}
	}
	if err := r.lookAgain(ctx); err != nil {
		return report, err
	}
	for i, item := range r.Items { // some may stay now
		report.Items[i].Tags = item.refs()
	}
	r.Tagging = true
	if err := r.tag(ctx); err != nil {
		return report, err
	}
	report.Published = true
	return report, nil
}

// test verifies what arrived in the first repository, and builds the apps with it.
func (r *Release) test(ctx context.Context, item *Item, result *ItemReport) error {
	found, err := r.Open.Platforms(ctx, item.at(item.Repositories[0]), flatten.Target{})
	if err != nil {
		return err
	}
	for _, img := range found.Images {
		checked, err := verify.Image(ctx, img)
		if err != nil {
			return err
		}
		result.Verified = append(result.Verified, checked)
	}
	if len(item.ReleaseImage.Smoke) > 0 {
		tested, err := r.smoke(ctx, item, found)
		result.Smoke = append(result.Smoke, tested...)
		return err
	}
	return nil
}

// failed returns an error if a test has failed.
func (r *Release) failed(report *Report) error {
	var failures []string
	for _, i := range report.Items {
		if slices.ContainsFunc(i.Verified, func(v *verify.Report) bool { return !v.OK }) {
			failures = append(failures, i.Title+": what arrived is broken")
		}
		for _, s := range i.Smoke {
			if s.Status != smoke.Passed {
				failures = append(failures, i.Title+": app "+s.App+" failed")
			}
		}
	}
	if len(failures) == 0 {
		return nil
	}
	return &FailedError{failures}
}

// FailedError is the error of a release with items that failed a test. Nothing was tagged.
type FailedError struct {
	// Failures say which test of which item failed, one each.
	Failures []string
}

func (e *FailedError) Error() string {
	return strings.Join(e.Failures, ", ") + "; no tag was written"
}

// promote attaches the documents about the item in its first repository, signs it, and does the same
// with its copies in the others.
func (r *Release) promote(ctx context.Context, item *Item) error {
	documents, err := r.documents(item)
	if err != nil {
		return err
	}
	for i, repository := range item.Repositories {
		if i > 0 {
			if err := r.copy(ctx, item, repository); err != nil {
				return err
			}
		}
		if err := r.attach(ctx, repository, documents); err != nil {
			return err
		}
		if r.Sign != nil {
			if err := r.Sign(ctx, repository, item.Digest); err != nil {
				return fmt.Errorf("signing %s@%s: %w", repository, item.Digest, err)
			}
		}
	}
	return nil
}

// copy copies the item from its first repository to another. Within a registry, layers are mounted.
func (r *Release) copy(ctx context.Context, item *Item, to string) error {
	found, err := r.Open.Platforms(ctx, item.at(item.Repositories[0]), flatten.Target{})
	if err != nil {
		return err
	}
	images, err := item.again(found)
	if err != nil {
		return err
	}
	return r.Registry.Push(ctx, to, images)
}

// again returns the images that were pushed, with the targets that they were made for: so their
// index is the same.
func (i *Item) again(found *source.Platforms) ([]Image, error) {
	if len(found.Images) != len(i.Images) {
		return nil, fmt.Errorf("%s has %d images, expected %d", i.Digest, len(found.Images), len(i.Images))
	}
	var images []Image
	for n, img := range found.Images {
		images = append(images, Image{img, i.Images[n].Target})
	}
	return images, nil
}

// tag moves the tags: those with a version first, everywhere; then the others; of both, those of first
// repositories last, where later runs look. So a run that ends in between is finished by the next, and
// is never taken for one that is done.
func (r *Release) tag(ctx context.Context) error {
	for _, step := range []struct{ versioned, first bool }{{true, false}, {true, true}, {false, false}, {false, true}} {
		for _, item := range r.Items {
			for i, repository := range item.Repositories {
				var names []string
				for _, t := range item.Tags {
					if t.Repository == repository && t.Versioned == step.versioned && (i == 0) == step.first && !slices.Contains(names, t.Name) {
						names = append(names, t.Name)
					}
				}
				if len(names) == 0 {
					continue
				}
				if err := r.Registry.Tag(ctx, repository, item.Digest, names, step.versioned && !r.Force); err != nil {
					return &ItemError{item.Title(), err}
				}
			}
		}
	}
	return nil
}
