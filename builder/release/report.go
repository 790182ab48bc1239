package release

import (
	"slices"

	"laminate/builder/smoke"
	"laminate/packager/diff"
	"laminate/packager/verify"
)

// Schema is the version of the JSON form of a [Report]. A change that removes a key or changes its
// meaning has a new one.
const Schema = 1

// Report is what came of a release. docs/release.schema.json describes its JSON form.
type Report struct {
	Schema  int    `json:"schema"`
	Version string `json:"version,omitempty"`
	State   State  `json:"state"`
	// Published reports whether all tags were moved by this run.
	Published bool         `json:"published"`
	Items     []ItemReport `json:"items"`
}

// ItemReport is what came of an item.
type ItemReport struct {
	Title        string   `json:"title"`
	Kind         string   `json:"kind"` // builder or buildpackage
	Variant      string   `json:"variant,omitempty"`
	Digest       string   `json:"digest"`
	Repositories []string `json:"repositories"`
	// Tags are the references by tag of this release.
	Tags   []string      `json:"tags"`
	Images []ImageReport `json:"images"`
	// Last is the release before, by tag, and LastDigest its digest.
	Last       string `json:"last,omitempty"`
	LastDigest string `json:"last_digest,omitempty"`
	// Changes compares the item with the last release; nil if there is none.
	Changes *diff.Report `json:"changes,omitempty"`
	// Verified are the results of verifying each image of the item; empty if nothing was pushed.
	Verified []*verify.Report `json:"verified"`
	// Smoke are the results of the apps.
	Smoke []smoke.Result `json:"smoke"`
}

// ImageReport describes the image of a target.
type ImageReport struct {
	Target string `json:"target"`
	Digest string `json:"digest"`
	Layers int    `json:"layers"`
	// Bytes is the sum of the compressed sizes of the layers, each blob once.
	Bytes int64 `json:"bytes"`
}

// Passed reports whether no test has failed.
func (i ItemReport) Passed() bool {
	return !slices.ContainsFunc(i.Verified, func(v *verify.Report) bool { return !v.OK }) &&
		!slices.ContainsFunc(i.Smoke, func(s smoke.Result) bool { return s.Status != smoke.Passed })
}

// Report returns the report of a release that is not published.
func (r *Release) Report() *Report {
	report := &Report{Schema: Schema, Version: r.Version, State: r.State, Items: []ItemReport{}}
	for _, item := range r.Items {
		i := ItemReport{
			Title: item.Title(), Kind: "buildpackage", Variant: item.Variant, Digest: item.Digest.String(),
			Images: item.sizes, Changes: item.changes, Repositories: item.Repositories, Tags: item.refs(), Verified: []*verify.Report{}, Smoke: []smoke.Result{},
		}
		if item.Builder {
			i.Kind = "builder"
		}
		if item.Last != nil {
			i.Last, i.LastDigest = item.Last.Ref, item.Last.Digest.String()
		}
		report.Items = append(report.Items, i)
	}
	return report
}
