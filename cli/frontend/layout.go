package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"
)

// layout returns the app image as an OCI layout that is an archive for docker load at the same time, once
// it is packed with tar.
//
// BuildKit does not hand out the layers of the run image unchanged, so the layout has none of them: in its
// manifest, diffIDs stand for their digests. docker load takes them from the daemon, which looks for a
// layer by the diffIDs up to it before it opens its file.
func (a *appBuild) layout(ctx context.Context) (client.Reference, error) {
	files := llb.Mkdir("/blobs/sha256", 0o755, llb.WithParents(true))
	layers := standIns(a.run.config.RootFS.DiffIDs)
	for _, l := range a.made.layers {
		if l.reused >= 0 {
			return nil, fmt.Errorf("layer %s: %w", l.diff, errors.New("its blob is missing"))
		}
		if err := verified(ctx, io.Discard, a.output, l.file, l.Descriptor); err != nil {
			return nil, fmt.Errorf("layer %s: %w", l.Digest, err)
		}
		files = files.Copy(a.step, l.file, "/blobs/sha256/"+l.Digest.Hex, llb.ChmodOpt{Mode: 0o644}, llb.WithUIDGID(0, 0))
		layers = append(layers, l.Descriptor)
	}
	made, err := newLayout(a.made.raw, layers)
	if err != nil {
		return nil, err
	}
	archive, err := made.dockerArchive(layers, a.args.tag)
	if err != nil {
		return nil, err
	}
	files = made.write(files, "/", a.args.tag).Mkfile("/manifest.json", 0o644, archive)
	ref, err := a.solve(ctx, llb.Scratch().File(files, llb.WithCustomName("write the OCI layout")))
	if err == nil {
		err = evaluate(ctx, ref)
	}
	if err != nil {
		return nil, fmt.Errorf("OCI layout: %w", plain(err))
	}
	return ref, nil
}

// dockerArchive returns the manifest.json of an archive as docker save writes it.
func (l layout) dockerArchive(layers []v1.Descriptor, tag string) ([]byte, error) {
	img := struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{Config: "blobs/sha256/" + l.configHash.Hex}
	if tag != "" {
		img.RepoTags = []string{tag}
	}
	for _, d := range layers {
		img.Layers = append(img.Layers, "blobs/sha256/"+d.Digest.Hex)
	}
	return json.Marshal([]any{img})
}
