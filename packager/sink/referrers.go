package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/packager/registry"
)

// list adds entries to the index of referrers under the image's tag, until reading it shows all of
// them. Each attempt starts with what the last one read, so that entries of other clients that were
// seen once are never dropped, even if the registry shows an old index for a while.
func (a *attachment) list(ctx context.Context, entries []v1.Descriptor) error {
	tag := registry.ReferrersTag(a.digest)
	want := listing{}
	for _, e := range entries {
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		want.entries = append(want.entries, raw)
	}
	err := a.push.speak.Again(ctx, func(int) error {
		before, err := a.listing(ctx)
		if err != nil || len(want.lacking(before)) == 0 {
			return err
		}
		d, err := before.with(want)
		if err != nil {
			return err
		}
		if _, err := a.session.PutManifest(ctx, tag, d); err != nil {
			return fmt.Errorf("tag %s: %w", tag, err)
		}
		after, err := a.listing(ctx)
		switch {
		case err != nil || len(want.lacking(after)) == 0:
			return err
		case after.digest == before.digest:
			return &registry.AgainError{Err: lagError(tag)}
		}
		want.entries = append(want.entries, before.lacking(want)...)
		return &registry.AgainError{Err: fmt.Errorf("tag %s: other clients overwrite it; try again", tag)}
	})
	var lag lagError
	if errors.As(err, &lag) {
		a.push.log.Warn(fmt.Sprintf("%s: the registry accepted the index of its referrers, but still shows the old one; it may take a moment to appear", a.written))
		return nil
	}
	return err
}

// listing is an index of referrers. Its entries, and its other fields, are kept as they are stored.
type listing struct {
	digest  v1.Hash // zero if there is none
	fields  map[string]json.RawMessage
	entries []json.RawMessage
}

// listing reads the index under the image's tag.
func (a *attachment) listing(ctx context.Context) (listing, error) {
	r, err := a.session.TaggedReferrers(ctx, a.digest)
	if err != nil {
		return listing{}, err
	}
	var l listing
	if len(r.Index) == 0 {
		return l, nil
	}
	if l.digest, _, err = v1.SHA256(bytes.NewReader(r.Index)); err != nil {
		return l, err
	}
	if err := json.Unmarshal(r.Index, &l.fields); err != nil {
		return l, fmt.Errorf("invalid index of referrers: %w", err)
	}
	if raw, ok := l.fields["manifests"]; ok {
		if err := json.Unmarshal(raw, &l.entries); err != nil {
			return l, fmt.Errorf("invalid index of referrers: %w", err)
		}
	}
	return l, nil
}

// lacking returns the entries that another listing lacks, by digest.
func (l listing) lacking(other listing) []json.RawMessage {
	have := map[string]bool{}
	for _, raw := range other.entries {
		have[digestIn(raw)] = true
	}
	var lacking []json.RawMessage
	for _, raw := range l.entries {
		if !have[digestIn(raw)] {
			lacking = append(lacking, raw)
		}
	}
	return lacking
}

// with returns the index with the entries of another listing appended that it lacks.
func (l listing) with(more listing) (registry.Document, error) {
	fields := map[string]any{"schemaVersion": 2, "mediaType": types.OCIImageIndex}
	for key, value := range l.fields {
		fields[key] = value
	}
	fields["manifests"] = append(l.entries[:len(l.entries):len(l.entries)], more.lacking(l)...)
	m, err := encode(fields, types.OCIImageIndex)
	return registry.Document{Raw: m.raw, MediaType: m.mediaType, Digest: m.digest}, err
}

// digestIn returns the digest of an entry, of any algorithm.
func digestIn(entry json.RawMessage) string {
	var d struct {
		Digest string `json:"digest"`
	}
	_ = json.Unmarshal(entry, &d)
	return d.Digest
}
