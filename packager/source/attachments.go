package source

import (
	"context"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/packager/registry"
)

// Attachment is a manifest that is attached to an image as an OCI referrer, as the list of referrers
// describes it. Only its digest is verified, by [Repository.Attached].
type Attachment struct {
	// Type is the artifact type.
	Type        string
	Digest      v1.Hash
	Annotations map[string]string
}

// Attached is the document of an attachment.
type Attached struct {
	// Type is the artifact type in the manifest.
	Type string
	// MediaType is that of the document.
	MediaType string
	Content   []byte
}

// Attachments lists what is attached to the image or the index of a digest, in the registry's order:
// what the registry lists, or the index under the tag sha256-HEX. Nothing attached is no error.
func (r *Repository) Attachments(ctx context.Context, image v1.Hash) ([]Attachment, error) {
	s, err := r.session(ctx)
	if err != nil {
		return nil, r.attachedError(image, err)
	}
	referrers, err := s.Referrers(ctx, image)
	if err != nil {
		return nil, r.attachedError(image, err)
	}
	var all []Attachment
	for _, d := range referrers.Descriptors {
		if d.MediaType == types.OCIManifestSchema1 {
			all = append(all, Attachment{Type: d.ArtifactType, Digest: d.Digest, Annotations: d.Annotations})
		}
	}
	return all, nil
}

// Attached reads an attachment of an image: a manifest with one layer, of at most 16 MiB. The digests
// are verified, and that the manifest refers to the image.
func (r *Repository) Attached(ctx context.Context, image v1.Hash, a Attachment) (*Attached, error) {
	attached, err := r.attached(ctx, image, a)
	if err != nil {
		return nil, r.attachedError(image, fmt.Errorf("attachment %s: %w", a.Digest, err))
	}
	return attached, nil
}

func (r *Repository) attached(ctx context.Context, image v1.Hash, a Attachment) (*Attached, error) {
	s, err := r.session(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.Manifest(ctx, a.Digest.String())
	if err != nil {
		return nil, err
	}
	m, err := registry.ParseManifest(d.Raw)
	switch {
	case err != nil:
		return nil, err
	case m.Subject == nil || m.Subject.Digest != image:
		return nil, &SubjectError{}
	case len(m.Layers) != 1:
		return nil, fmt.Errorf("%d layers, expected 1", len(m.Layers))
	}
	content, err := r.blob(ctx, m.Layers[0])
	if err != nil {
		return nil, err
	}
	is := m.ArtifactType
	if is == "" { // as in OCI image spec, "Guidelines for Artifact Usage"
		is = string(m.Config.MediaType)
	}
	return &Attached{Type: is, MediaType: string(m.Layers[0].MediaType), Content: content}, nil
}

// SubjectError is the error of an attachment that is listed for an image, and does not refer to it.
type SubjectError struct{}

func (*SubjectError) Error() string { return "its subject is another image" }

// blob reads a small blob, and verifies its size and digest.
func (r *Repository) blob(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	if d.Size < 0 || d.Size > registry.DocumentLimit {
		return nil, fmt.Errorf("document has %d bytes, the limit is %d", d.Size, registry.DocumentLimit)
	}
	l, err := r.puller.Layer(ctx, r.name.Digest(d.Digest.String()))
	if err != nil {
		return nil, err
	}
	content, err := l.Compressed() // verifies the digest
	if err != nil {
		return nil, err
	}
	defer content.Close()
	raw, err := io.ReadAll(io.LimitReader(content, d.Size+1))
	if err == nil && int64(len(raw)) != d.Size {
		err = fmt.Errorf("document %s: size is not %d", d.Digest, d.Size)
	}
	return raw, err
}

// session returns a session for reading; it logs in once.
func (r *Repository) session(ctx context.Context) (*registry.Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opened == nil {
		options := r.opener.registry()
		s, err := options.Session(ctx, r.name, transport.PullScope)
		if err != nil {
			return nil, err
		}
		r.opened = s
	}
	return r.opened, nil
}

func (r *Repository) attachedError(image v1.Hash, err error) error {
	ref := r.written + "@" + image.String()
	if registry.IsNetwork(err) {
		return registry.Explain(err, ref)
	}
	return fmt.Errorf("%s: %w", ref, err)
}
