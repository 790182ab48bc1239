package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/packager/registry"
	"laminate/packager/signing"
)

// list adds entries to the index of referrers under the image's tag.
func (a *attachment) list(ctx context.Context, entries []v1.Descriptor) error {
	want := listing{}
	for _, e := range entries {
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		want.entries = append(want.entries, raw)
	}
	t := extendable{tag: registry.ReferrersTag(a.digest), what: "the index of its referrers", read: a.listing, encode: listing.index}
	return a.extend(ctx, t, want)
}

// extendable is a document under a tag that several clients extend.
type extendable struct {
	tag, what string
	read      func(context.Context) (listing, error)
	encode    func(listing) (registry.Document, error)
}

// extend adds entries to the document under a tag, until reading it shows all of them. Each attempt
// starts with what the last one read, so that entries of other clients that were seen once are never
// dropped, even if the registry shows an old document for a while.
func (a *attachment) extend(ctx context.Context, t extendable, want listing) error {
	err := a.push.speak.Again(ctx, func(int) error {
		before, err := t.read(ctx)
		if err != nil || len(want.lacking(before)) == 0 {
			return err
		}
		d, err := t.encode(before.with(want))
		if err != nil {
			return err
		}
		if _, err := a.session.PutManifest(ctx, t.tag, d); err != nil {
			return fmt.Errorf("tag %s: %w", t.tag, err)
		}
		after, err := t.read(ctx)
		switch {
		case err != nil || len(want.lacking(after)) == 0:
			return err
		case after.digest == before.digest:
			return &registry.AgainError{Err: lagError(t.tag)}
		}
		want.entries = append(want.entries, before.lacking(want)...)
		return &registry.AgainError{Err: fmt.Errorf("tag %s: other clients overwrite it; try again", t.tag)}
	})
	var lag lagError
	if errors.As(err, &lag) {
		a.push.log.Warn(fmt.Sprintf("%s: the registry accepted %s, but still shows the old one; it may take a moment to appear", a.written, t.what))
		return nil
	}
	return err
}

// listing is a document with a list of entries. They, and its other fields, are kept as they are
// stored.
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
	return parseListing(r.Index, "manifests")
}

// parseListing parses a document with its entries under a key. None is an empty listing.
func parseListing(document []byte, key string) (l listing, err error) {
	if len(document) == 0 {
		return l, nil
	}
	if l.digest, _, err = v1.SHA256(bytes.NewReader(document)); err != nil {
		return l, err
	}
	if err := json.Unmarshal(document, &l.fields); err != nil {
		return l, fmt.Errorf("invalid document: %w", err)
	}
	if raw, ok := l.fields[key]; ok {
		if err := json.Unmarshal(raw, &l.entries); err != nil {
			return l, fmt.Errorf("invalid %s: %w", key, err)
		}
	}
	return l, nil
}

// lacking returns the entries that another listing lacks.
func (l listing) lacking(other listing) []json.RawMessage {
	have := map[identity]bool{}
	for _, raw := range other.entries {
		have[identityOf(raw)] = true
	}
	var lacking []json.RawMessage
	for _, raw := range l.entries {
		if !have[identityOf(raw)] {
			lacking = append(lacking, raw)
		}
	}
	return lacking
}

// with returns the listing with the entries of another one appended that it lacks.
func (l listing) with(more listing) listing {
	l.entries = append(l.entries[:len(l.entries):len(l.entries)], more.lacking(l)...)
	return l
}

// index returns the listing as an index.
func (l listing) index() (registry.Document, error) {
	return l.document(types.OCIImageIndex, map[string]any{"manifests": l.entries})
}

// document returns a document with the listing's fields, but for those that are given.
func (l listing) document(mediaType types.MediaType, given map[string]any) (registry.Document, error) {
	fields := map[string]any{"schemaVersion": 2, "mediaType": mediaType}
	for key, value := range l.fields {
		fields[key] = value
	}
	maps.Copy(fields, given)
	m, err := encode(fields, mediaType)
	return registry.Document{Raw: m.raw, MediaType: m.mediaType, Digest: m.digest}, err
}

// identity identifies an entry: several signatures may have the same payload.
type identity struct{ digest, signature string }

// identityOf returns the identity of an entry, with a digest of any algorithm.
func identityOf(entry json.RawMessage) identity {
	var d struct {
		Digest      string            `json:"digest"`
		Annotations map[string]string `json:"annotations"`
	}
	_ = json.Unmarshal(entry, &d)
	return identity{d.Digest, d.Annotations[signing.Annotation]}
}
