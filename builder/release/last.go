package release

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/mod/semver"

	"laminate/packager/config"
	"laminate/packager/location"
	"laminate/packager/source"
)

// Last is the release before: the one with the highest version below that of this release or, if there
// is no version, what a tag without one points to.
type Last struct {
	// Ref is the reference by tag, and Version its version, or "".
	Ref, Version string
	Digest       v1.Hash
	repository   string
}

// location returns the last release by digest: the tag may move while it is used.
func (l *Last) location() location.Location {
	return registryLocation(l.repository + "@" + l.Digest.String())
}

// findLast looks for the last release in the item's first repository.
func (r *Release) findLast(ctx context.Context, item *Item) (*Last, error) {
	name := item.Repositories[0]
	repository, err := r.Open.Repository(ctx, name)
	if err != nil {
		return nil, err
	}
	at := func(tag, version string) (*Last, error) {
		digest, err := repository.Digest(ctx, tag)
		if source.IsAbsent(err) || err == nil && digest.Hex == "" {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return &Last{Ref: name + ":" + tag, Version: version, Digest: digest, repository: name}, nil
	}
	if template := versioned(item.ReleaseImage.Tags); template != "" {
		tags, err := r.list(ctx, item, repository, template)
		if err != nil {
			return nil, err
		}
		if version := lastVersion(tags, template, item.ReleaseImage, r.Version); version != "" {
			return at(template.For(version, item.ReleaseImage), version)
		}
	}
	for _, t := range item.ReleaseImage.Tags {
		if !t.Versioned() {
			return at(t.For("", item.ReleaseImage), "")
		}
	}
	return nil, nil
}

// list lists the tags of the item's first repository, and notes a released version above this one.
func (r *Release) list(ctx context.Context, item *Item, repository *source.Repository, template config.ReleaseTag) ([]string, error) {
	tags, err := repository.Tags(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil && !hasNone(err):
		return nil, &ItemError{item.Title(), err}
	}
	if newest := lastVersion(tags, template, item.ReleaseImage, ""); r.Version != "" && newest != "" && semver.Compare(canonical(newest), canonical(r.Version)) > 0 {
		item.newer = newest
	}
	return tags, nil
}

// hasNone reports whether an error of a list of tags means that there is no such repository, or that the
// registry has no lists.
func hasNone(err error) bool {
	var answer *transport.Error
	return source.IsAbsent(err) || errors.As(err, &answer) && (answer.StatusCode == http.StatusMethodNotAllowed || answer.StatusCode == http.StatusNotImplemented)
}

// versioned returns the first template with a version, or "".
func versioned(tags []config.ReleaseTag) config.ReleaseTag {
	for _, t := range tags {
		if t.Versioned() {
			return t
		}
	}
	return ""
}

// lastVersion returns the highest version below another that one of the tags is for, or "". With ""
// for the other, it is the highest of all. What is no semantic version, and prereleases, do not count.
func lastVersion(tags []string, template config.ReleaseTag, img config.ReleaseImage, below string) string {
	const mark = "\x00"
	form := strings.Replace(regexp.QuoteMeta(template.For(mark, img)), mark, "(.+)", 1)
	pattern := regexp.MustCompile("^" + strings.ReplaceAll(form, mark, ".+") + "$")
	highest := ""
	for _, tag := range tags {
		found := pattern.FindStringSubmatch(tag)
		if found == nil {
			continue
		}
		v := found[1]
		switch {
		case !isVersion(v) || semver.Prerelease(canonical(v)) != "" || template.For(v, img) != tag:
		case below != "" && semver.Compare(canonical(v), canonical(below)) >= 0:
		case highest == "" || semver.Compare(canonical(v), canonical(highest)) > 0:
			highest = v
		}
	}
	return highest
}

// canonical returns a version as package semver reads it.
func canonical(version string) string { return "v" + strings.TrimPrefix(version, "v") }

// isVersion reports whether a version is a semantic one, with all three numbers.
func isVersion(version string) bool {
	return config.IsSemver(version) && semver.IsValid(canonical(version))
}
