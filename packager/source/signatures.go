package source

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/packager/registry"
	"laminate/packager/signing"
)

const (
	// signatureLimit is the maximum number of signatures of an image. Each payload is a request.
	signatureLimit = 100
	// payloadLimit is the maximum size of a payload. cosign's have 300 bytes and the annotations that
	// users add.
	payloadLimit = 64 << 10
)

// Signatures reads the signatures of the image or the index of a digest that are stored as cosign
// stores them (see package signing). They are not verified. None is no error; more than signatureLimit,
// or a larger payload than payloadLimit, is one.
func (r *Repository) Signatures(ctx context.Context, image v1.Hash) ([]signing.Signature, error) {
	all, err := r.signatures(ctx, image)
	if err != nil {
		return nil, r.attachedError(image, err)
	}
	return all, nil
}

func (r *Repository) signatures(ctx context.Context, image v1.Hash) ([]signing.Signature, error) {
	s, err := r.session(ctx)
	if err != nil {
		return nil, err
	}
	tag := signing.Tag(image)
	d, err := s.Manifest(ctx, tag)
	switch {
	case registry.IsMissing(err):
		return nil, nil
	case err != nil:
		return nil, err
	case !d.MediaType.IsImage():
		return nil, fmt.Errorf("tag %s is not an image of signatures: its media type is %q", tag, d.MediaType)
	}
	m, err := registry.ParseManifest(d.Raw)
	if err != nil {
		return nil, fmt.Errorf("tag %s: %w", tag, err)
	}
	var all []signing.Signature
	payloads := map[v1.Hash][]byte{}
	for _, l := range m.Layers {
		signature := l.Annotations[signing.Annotation]
		if l.MediaType != types.MediaType(signing.MediaType) || signature == "" {
			continue
		}
		if len(all) == signatureLimit {
			return nil, fmt.Errorf("tag %s: too many signatures; the limit is %d", tag, signatureLimit)
		}
		if payloads[l.Digest] == nil {
			if l.Size > payloadLimit {
				return nil, fmt.Errorf("tag %s: a payload has %d bytes, the limit is %d", tag, l.Size, payloadLimit)
			}
			payload, err := r.blob(ctx, l)
			if err != nil {
				return nil, fmt.Errorf("tag %s: %w", tag, err)
			}
			payloads[l.Digest] = payload
		}
		all = append(all, signing.Signature{Payload: payloads[l.Digest], Signature: signature})
	}
	return all, nil
}
