package sink

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/packager/registry"
)

// Artifact is a document about an image, such as an SBOM.
type Artifact struct {
	// Type is the artifact type of the manifest, by which clients find it.
	Type string
	// MediaType is that of the document; often it is the same as Type.
	MediaType string
	// Content is the document. It must be the same for the same image, or each run attaches another.
	Content []byte
	// Annotations are those of the manifest. Referrers are listed with them.
	Annotations map[string]string
}

// Attached is an artifact that is attached to an image.
type Attached struct {
	Type string
	// Digest is that of the artifact's manifest.
	Digest v1.Hash
	// Existed reports whether it was attached before.
	Existed bool
}

const (
	emptyType = "application/vnd.oci.empty.v1+json"
	// emptyContent is the config of manifests that need none (OCI image spec, "Guidance for an Empty
	// Descriptor").
	emptyContent = "{}"
)

// Attach attaches artifacts to an image or an index in a registry, HOST/REPOSITORY@DIGEST, which must
// exist there. Each becomes a manifest of its own, pushed by digest into the same repository, that has
// the image as its subject and the document as its only layer (OCI image spec, "Guidelines for
// Artifact Usage"). The manifest depends on the arguments only: the same artifacts for the same image
// have the same digests in every registry.
//
// What is attached already is left, so Attach can be repeated after any failure; then it costs two
// requests and the login. In a registry that does not list referrers, the index under the tag
// sha256-HEX is extended; the entries and fields of others stay. Two clients that extend it within
// the same round trip can overwrite each other, as registries have no conditional writes: what was
// written is read back, and written again if another client has overwritten it. One overwritten
// after that is added again by the next run.
//
// The result has the artifacts in order. Of the options it uses those for registries.
func Attach(ctx context.Context, image string, artifacts []Artifact, o Options) ([]Attached, error) {
	a, err := newAttachment(ctx, image, o)
	if err != nil {
		return nil, err
	}
	for _, artifact := range artifacts {
		if err := artifact.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", image, err)
		}
	}
	attached, err := a.all(ctx, artifacts)
	if err != nil {
		return nil, a.explain(err)
	}
	return attached, nil
}

func (a Artifact) check() error {
	for what, value := range map[string]string{"artifact type": a.Type, "media type": a.MediaType} {
		if is, params, err := mime.ParseMediaType(value); err != nil || is != value || len(params) > 0 {
			return fmt.Errorf("artifact %s: invalid %s %q", a.Type, what, value)
		}
	}
	switch n := len(a.Content); {
	case n == 0:
		return fmt.Errorf("artifact %s: no content", a.Type)
	case n > registry.DocumentLimit:
		return fmt.Errorf("artifact %s: %d bytes, the limit is %d", a.Type, n, registry.DocumentLimit)
	}
	return nil
}

// attachment is the state of attaching to one image.
type attachment struct {
	written string
	image   name.Digest
	digest  v1.Hash
	push    *push
	session *registry.Session // set by open
}

func newAttachment(ctx context.Context, image string, o Options) (*attachment, error) {
	ref, err := o.registry().ParseReference(image)
	if err != nil {
		return nil, err
	}
	byDigest, ok := ref.(name.Digest)
	if !ok {
		return nil, fmt.Errorf("%s: no digest; write REPOSITORY@DIGEST", image)
	}
	digest, err := v1.NewHash(byDigest.DigestStr())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", image, err)
	}
	p, err := newPush(ctx, o.orDefaults())
	if err != nil {
		return nil, err
	}
	return &attachment{written: image, image: byDigest, digest: digest, push: p}, nil
}

func (a *attachment) explain(err error) error {
	if registry.IsNetwork(err) {
		return registry.Explain(err, a.written)
	}
	return fmt.Errorf("%s: %w", a.written, err)
}

// open logs in, and reads the image.
func (a *attachment) open(ctx context.Context) (registry.Document, error) {
	var err error
	if a.session, err = a.push.speak.Session(ctx, a.image.Context(), transport.PushScope); err != nil {
		return registry.Document{}, err
	}
	return a.session.Manifest(ctx, a.digest.String())
}

// all pushes the artifacts that the registry does not list, and lists them where it does not do so
// itself. An artifact is listed after it was pushed, so one that is listed exists.
func (a *attachment) all(ctx context.Context, artifacts []Artifact) ([]Attached, error) {
	image, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	have, err := a.session.Referrers(ctx, a.digest)
	if err != nil {
		return nil, err
	}
	var attached []Attached
	var missing []v1.Descriptor
	linked := true
	for _, artifact := range artifacts {
		m, entry, err := artifact.manifest(image.Descriptor())
		if err != nil {
			return nil, err
		}
		existed := slices.ContainsFunc(have.Descriptors, func(d v1.Descriptor) bool { return d.Digest == entry.Digest })
		attached = append(attached, Attached{Type: artifact.Type, Digest: entry.Digest, Existed: existed})
		if existed {
			continue
		}
		is, err := a.put(ctx, artifact, m)
		if err != nil {
			return nil, fmt.Errorf("artifact %s: %w", artifact.Type, err)
		}
		linked = linked && is
		missing = append(missing, entry)
	}
	if len(missing) == 0 || have.HasAPI || linked {
		return attached, nil
	}
	return attached, a.list(ctx, missing)
}

// manifest returns the manifest of an artifact, and its entry in a list of referrers.
func (a Artifact) manifest(subject v1.Descriptor) (registry.Document, v1.Descriptor, error) {
	config, err := describe(emptyType, []byte(emptyContent))
	if err != nil {
		return registry.Document{}, v1.Descriptor{}, err
	}
	layer, err := describe(a.MediaType, a.Content)
	if err != nil {
		return registry.Document{}, v1.Descriptor{}, err
	}
	m, err := encode(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: a.Type,
		Config: config, Layers: []v1.Descriptor{layer}, Subject: &subject, Annotations: a.Annotations,
	}, types.OCIManifestSchema1)
	entry := m.descriptor()
	entry.ArtifactType, entry.Annotations = a.Type, a.Annotations
	return registry.Document{Raw: m.raw, MediaType: m.mediaType, Digest: m.digest}, entry, err
}

func describe(mediaType string, content []byte) (v1.Descriptor, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(content))
	return v1.Descriptor{MediaType: types.MediaType(mediaType), Size: size, Digest: digest}, err
}

// put pushes an artifact: the blobs, then the manifest by digest.
func (a *attachment) put(ctx context.Context, artifact Artifact, m registry.Document) (linked bool, err error) {
	if err := a.upload(ctx, []byte(emptyContent), artifact.Content); err != nil {
		return false, err
	}
	return a.session.PutManifest(ctx, m.Digest.String(), m)
}

// upload pushes small blobs.
func (a *attachment) upload(ctx context.Context, contents ...[]byte) error {
	for _, content := range contents {
		digest, _, err := v1.SHA256(bytes.NewReader(content))
		if err != nil {
			return err
		}
		if err := a.push.uploadConfig(ctx, a.image.Context(), bytesBlob("document", digest, content), nil); err != nil {
			return err
		}
	}
	return nil
}
