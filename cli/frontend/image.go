package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"laminate/flatten"
)

// resolved is an image that BuildKit has found.
type resolved struct {
	written  string // as the user wrote it, or as a label says
	ref      reference.Named
	digest   digest.Digest // of its index or manifest; "" if only the daemon has the image
	platform ocispecs.Platform
	config   *v1.ConfigFile
	raw      []byte // of the config
}

// maxLayers is how many layers an image may have.
const maxLayers = 1000

// buildpackage says what an image is for that has buildpacks.
const buildpackage = "buildpack"

// resolve finds an image; what says what it is for, in messages.
func (b *build) resolve(ctx context.Context, what, written string, p ocispecs.Platform) (*resolved, error) {
	text := strings.TrimPrefix(strings.TrimPrefix(written, "docker://"), "docker:/")
	ref, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return nil, fmt.Errorf("%s %q: invalid image reference: %w", what, flatten.Clip(written), err)
	}
	ref = reference.TagNameOnly(ref)
	found, dgst, raw, err := b.ResolveImageConfig(ctx, ref.String(), sourceresolver.Opt{
		LogName:  fmt.Sprintf("[internal] load metadata of the %s %s", what, text),
		ImageOpt: &sourceresolver.ResolveImageOpt{Platform: &p, ResolveMode: b.ui.ImageResolveMode.String()},
	})
	if err != nil {
		return nil, fmt.Errorf("%s %s for %s: %w", what, text, platforms.Format(p), plain(err))
	}
	if by, err := reference.ParseNormalizedNamed(found); err == nil { // a source policy may have another one
		ref = by
	}
	r := &resolved{written: text, ref: ref, digest: dgst, platform: p, config: &v1.ConfigFile{}, raw: raw}
	if err := json.Unmarshal(raw, r.config); err != nil {
		return nil, fmt.Errorf("%s %s: config: %w", what, text, err)
	}
	if len(r.config.RootFS.DiffIDs) > maxLayers {
		return nil, fmt.Errorf("%s %s: %d layers; the limit is %d", what, text, len(r.config.RootFS.DiffIDs), maxLayers)
	}
	everywhere := what == buildpackage && r.config.Architecture == "" // as most are made
	if is := r.config; is.OS != p.OS || is.Architecture != p.Architecture && !everywhere {
		return nil, fmt.Errorf("%s %s: it is for %s/%s, and not for %s", what, text, is.OS, is.Architecture, platforms.Format(p))
	}
	return r, nil
}

// name returns the reference by which BuildKit gets just this image.
func (r *resolved) name() string {
	if r.digest == "" {
		return r.ref.String()
	}
	pinned, err := reference.WithDigest(reference.TrimNamed(r.ref), r.digest)
	if err != nil {
		return r.ref.String()
	}
	return pinned.String()
}

// state returns the image's root file system.
func (r *resolved) state(b *build) llb.State {
	return llb.Image(r.name(), llb.Platform(r.platform), b.ui.ImageResolveMode)
}

// label decodes the JSON of a label. A missing label is empty.
func (r *resolved) label(key string, into any) error {
	text := r.config.Config.Labels[key]
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("%s: label %s: %w", r.written, key, err)
	}
	return nil
}

// plain returns an error without what BuildKit says in front of every error.
func plain(err error) error {
	text := err.Error()
	for _, prefix := range []string{"rpc error: code = Unknown desc = ", "rpc error: code = NotFound desc = ", "failed to solve: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}
