package sink

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"laminate/flatten"
)

// suffixed gives each image of an index a tag of its own beside the index's,
// as pack's --append-image-name-suffix does: TAG-os-arch[-variant], without
// "latest-". The tags are those of ref's repository; a digest gets none.
func (p *push) suffixed(ctx context.Context, ref name.Reference) ([]Written, error) {
	top, isTag := ref.(name.Tag)
	if !isTag || len(p.contents) < 2 {
		return nil, nil
	}
	targets := make([]flatten.Target, len(p.contents))
	for i, c := range p.contents {
		targets[i] = c.target
	}
	var written []Written
	for i, s := range suffixes(targets) {
		if t := top.TagStr(); t != name.DefaultTag {
			s = t + "-" + s
		}
		tag, err := name.NewTag(strings.TrimSuffix(spelled(top), ":"+top.TagStr()) + ":" + s)
		if err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
		if err := p.pusher.Put(ctx, top.Context().Tag(s), p.contents[i].manifest); err != nil {
			return nil, p.explain(err, tag)
		}
		written = append(written, Written{Digest: p.contents[i].manifest.digest, Destination: "docker://" + spelled(tag)})
	}
	return written, nil
}

// suffixes are the targets as parts of tags, each another one: distributions
// stand in them only where targets do not differ otherwise.
func suffixes(targets []flatten.Target) []string {
	all := make([]string, len(targets))
	for i, t := range targets {
		parts := []string{t.OS, t.Arch, t.Variant}
		if among(targets, func(o flatten.Target) bool { return o.OS == t.OS && o.Arch == t.Arch && o.Variant == t.Variant }) {
			for _, d := range t.Distros {
				parts = append(parts, d.Name, d.Version)
			}
		}
		all[i] = strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "-")
	}
	return all
}
