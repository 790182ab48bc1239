package frontend

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/attestations/sbom"
	"github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/result"
)

// sbomDir has the SBOMs of an app image (buildpack spec, "Software-Bill-of-Materials").
const sbomDir = "/layers/sbom/launch"

// predicates are the types of SBOMs that are attached, by the ends of file names.
var predicates = map[string]string{
	".spdx.json": "https://spdx.dev/Document",
	".cdx.json":  "https://cyclonedx.org/bom",
}

// attest attaches the SBOMs that buildpacks wrote, if the client wants SBOMs, besides what its own scanner
// finds. BuildKit does not scan by itself what has an SBOM already.
func (b *build) attest(ctx context.Context, r *client.Result, id string, img *builtImage) error {
	if b.ui.SBOM == nil {
		return nil
	}
	files, err := documents(ctx, img.ref, sbomDir)
	if err != nil || len(files) == 0 {
		return err
	}
	for _, file := range files {
		r.AddAttestation(id, client.Attestation{
			Kind: gwpb.AttestationKind_InToto, Ref: img.ref, Path: file,
			Metadata: map[string][]byte{result.AttestationReasonKey: []byte(result.AttestationReasonSBOM)},
			InToto: result.InTotoAttestation{
				PredicateType: predicateOf(file),
				Subjects:      []result.InTotoSubject{{Kind: gwpb.InTotoSubjectKind_Self}},
			},
		})
	}
	return b.scan(ctx, r, id, img)
}

// scan runs the client's scanner, as BuildKit does.
func (b *build) scan(ctx context.Context, r *client.Result, id string, img *builtImage) error {
	host := b.ui.BuildPlatforms[0]
	scanner, err := sbom.CreateSBOMScanner(ctx, b.Client, b.ui.SBOM.Generator, host, sourceresolver.Opt{
		ImageOpt: &sourceresolver.ResolveImageOpt{ResolveMode: b.ui.ImageResolveMode.String(), Platform: &host},
	}, b.ui.SBOM.Parameters)
	if err != nil {
		return fmt.Errorf("SBOM scanner %s for %s: %w", b.ui.SBOM.Generator, platforms.Format(host), plain(err))
	}
	var opts []llb.ConstraintsOpt
	if b.ui.IsNoCache("") {
		opts = append(opts, llb.IgnoreCache)
	}
	found, err := scanner(ctx, id, img.state, nil, opts...)
	if err != nil {
		return err
	}
	attestation, err := result.ConvertAttestation(&found, func(state *llb.State) (client.Reference, error) { return b.solve(ctx, *state) })
	if err != nil {
		return fmt.Errorf("SBOM scanner %s: %w", b.ui.SBOM.Generator, plain(err))
	}
	r.AddAttestation(id, *attestation)
	return nil
}

// maxDocuments is how many SBOMs an image may have.
const maxDocuments = 1000

// documents returns the files below a directory, which may be missing, that are of a known type.
func documents(ctx context.Context, ref client.Reference, dir string) (files []string, err error) {
	if _, err := ref.StatFile(ctx, client.StatRequest{Path: dir}); err != nil {
		return nil, nil
	}
	entries, err := ref.ReadDir(ctx, client.ReadDirRequest{Path: dir})
	if err != nil {
		return nil, fmt.Errorf("SBOMs: %w", plain(err))
	}
	for _, e := range entries {
		name := path.Join(dir, path.Base(e.Path))
		switch {
		case e.IsDir():
			more, err := documents(ctx, ref, name)
			if err != nil {
				return nil, err
			}
			files = append(files, more...)
		case fs.FileMode(e.Mode).IsRegular() && predicateOf(name) != "":
			files = append(files, name)
		}
		if len(files) > maxDocuments {
			return nil, fmt.Errorf("SBOMs: more than %d files", maxDocuments)
		}
	}
	return files, nil
}

// predicateOf returns the predicate type of an SBOM, or "" if it is not known.
func predicateOf(file string) string {
	for end, predicate := range predicates {
		if strings.HasSuffix(file, end) {
			return predicate
		}
	}
	return ""
}
