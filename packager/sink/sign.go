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
	"laminate/packager/signing"
)

// Sign signs an image or an index in a registry, HOST/REPOSITORY@DIGEST, which must exist there, in
// the form that `cosign verify --key` reads: see package signing. A signature of the key that is there
// already is left, and existed is true; so Sign can be repeated. Signatures of others stay, and are
// extended as by [Attach].
func Sign(ctx context.Context, image string, key *signing.Key, o Options) (existed bool, err error) {
	a, err := newAttachment(ctx, image, o)
	if err != nil {
		return false, err
	}
	if existed, err = a.sign(ctx, key); err != nil {
		return false, a.explain(err)
	}
	return existed, nil
}

func (a *attachment) sign(ctx context.Context, key *signing.Key) (existed bool, err error) {
	if _, err := a.open(ctx); err != nil {
		return false, err
	}
	payload, err := signing.Payload(a.image.Context().Name(), a.digest)
	if err != nil {
		return false, err
	}
	layer, err := describe(signing.MediaType, payload)
	if err != nil {
		return false, err
	}
	have, err := a.signatures(ctx)
	if err != nil {
		return false, err
	}
	for _, raw := range have.entries {
		s := signing.Signature{Payload: payload, Signature: identityOf(raw).signature}
		if identityOf(raw).digest == layer.Digest.String() && key.Public().Verify(s, a.digest) == nil {
			return true, nil
		}
	}
	s, err := key.Sign(payload)
	if err != nil {
		return false, err
	}
	layer.Annotations = map[string]string{signing.Annotation: s.Signature}
	entry, err := json.Marshal(layer)
	if err != nil {
		return false, err
	}
	if err := a.upload(ctx, payload); err != nil {
		return false, err
	}
	t := extendable{tag: signing.Tag(a.digest), what: "the signature", read: a.signatures}
	t.encode = func(l listing) (registry.Document, error) { return a.signatureImage(ctx, l) }
	return false, a.extend(ctx, t, listing{entries: []json.RawMessage{entry}})
}

// signatures reads the image with signatures; its layers are the entries.
func (a *attachment) signatures(ctx context.Context) (listing, error) {
	tag := signing.Tag(a.digest)
	d, err := a.session.Manifest(ctx, tag)
	switch {
	case registry.IsMissing(err):
		return listing{}, nil
	case err != nil:
		return listing{}, err
	case d.MediaType != types.OCIManifestSchema1:
		return listing{}, fmt.Errorf("tag %s is not an image of signatures: its media type is %q", tag, d.MediaType)
	}
	l, err := parseListing(d.Raw, "layers")
	if err != nil {
		err = fmt.Errorf("tag %s: %w", tag, err)
	}
	return l, err
}

// signatureImage pushes the config of the image with signatures, and returns the manifest. The config
// is that of an image, since registries of this form know no other: payloads are its layers, which
// are not compressed.
func (a *attachment) signatureImage(ctx context.Context, l listing) (registry.Document, error) {
	file := v1.ConfigFile{RootFS: v1.RootFS{Type: "layers"}}
	for _, raw := range l.entries {
		h, err := v1.NewHash(identityOf(raw).digest)
		if err != nil {
			return registry.Document{}, errors.Join(errors.New("invalid layer of signatures"), err)
		}
		file.RootFS.DiffIDs = append(file.RootFS.DiffIDs, h)
		file.History = append(file.History, v1.History{})
	}
	config, err := json.Marshal(file)
	if err != nil {
		return registry.Document{}, err
	}
	if err := a.upload(ctx, config); err != nil {
		return registry.Document{}, err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return registry.Document{}, err
	}
	return l.document(types.OCIManifestSchema1, map[string]any{
		"layers": l.entries, "config": v1.Descriptor{MediaType: types.OCIConfigJSON, Size: size, Digest: digest},
	})
}
