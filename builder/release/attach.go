package release

import (
	"cmp"
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/packager/attest"
	"laminate/packager/config"
	"laminate/packager/engine"
)

// localBuilder is the builder id of provenance for which the caller gives none.
const localBuilder = "urn:laminate:release"

// Document is a document about an image.
type Document struct {
	// MediaType is that of the document, and the artifact type under which it is attached.
	MediaType string
	Content   []byte
	// Annotations are those of the manifest that holds it.
	Annotations map[string]string
}

// attachment are the documents about a digest.
type attachment struct {
	digest    v1.Hash
	documents []Document
}

// documents makes the documents about an item: an SBOM of each image, and the provenance of all
// unless the item was released before. They say the same in every repository, and in every run.
func (r *Release) documents(item *Item) ([]attachment, error) {
	var all []attachment
	for i, view := range item.views {
		digest, err := view.Digest()
		if err != nil {
			return nil, err
		}
		sbom, err := attest.SBOM(view, attest.SBOMOptions{Name: item.Title(), BaseName: item.base(i).Name, BaseDigest: item.base(i).Digest})
		if err != nil {
			return nil, err
		}
		all = append(all, attachment{digest, []Document{{MediaType: attest.CycloneDX, Content: sbom}}})
	}
	if l := item.Last; l != nil && l.Version != "" && l.Digest == item.Digest {
		return all, nil // the release of that version has stated how, and each more would be one to read
	}
	provenance, err := r.provenance(item)
	if err != nil {
		return nil, err
	}
	about := Document{MediaType: attest.InToto, Content: provenance, Annotations: map[string]string{attest.PredicateAnnotation: attest.ProvenanceType}}
	if len(all) == 1 { // no index
		all[0].documents = append(all[0].documents, about)
		return all, nil
	}
	return append(all, attachment{item.Digest, []Document{about}}), nil
}

// base returns the build image of a builder's image, if it has a digest.
func (i *Item) base(n int) engine.Used {
	if !i.Builder || n >= len(i.sources) || len(i.sources[n]) == 0 || i.sources[n][0].OfContent {
		return engine.Used{}
	}
	return i.sources[n][0]
}

// provenance says what the item was made of, and how.
func (r *Release) provenance(item *Item) ([]byte, error) {
	in := attest.ProvenanceInput{
		Subjects:  []attest.ResourceDescriptor{attest.Resource(item.Repositories[0], item.Digest)},
		BuilderID: cmp.Or(r.BuilderID, localBuilder), Version: r.Creator,
		Parameters: attest.Parameters{
			Config: attest.Resource(item.ReleaseImage.Config, item.file), Version: r.Version, Variant: item.Variant, Flatten: flattenOf(item.ReleaseImage),
		},
	}
	for _, t := range item.Targets {
		in.Parameters.Targets = append(in.Parameters.Targets, t.String())
	}
	for _, img := range item.Images {
		digest, err := img.Digest()
		if err != nil {
			return nil, err
		}
		if digest != item.Digest {
			in.Subjects = append(in.Subjects, attest.Resource(item.Repositories[0], digest))
		}
	}
	seen := map[engine.Used]bool{}
	for _, used := range item.sources {
		for _, u := range used {
			if seen[u] {
				continue
			}
			seen[u] = true
			resource := attest.Resource
			if u.OfContent {
				resource = attest.ContentResource
			}
			in.Dependencies = append(in.Dependencies, resource(u.Name, u.Digest))
		}
	}
	return attest.NewProvenance(in)
}

// flattenOf returns the options of the layer plan.
func flattenOf(img config.ReleaseImage) map[string]any {
	options := map[string]any{"mode": string(img.Grouping.Mode)}
	if len(img.Grouping.Groups) > 0 {
		options["groups"] = img.Grouping.Groups
	}
	if len(img.Grouping.Exclude) > 0 {
		options["exclude"] = img.Grouping.Exclude
	}
	if img.MaxLayers > 0 {
		options["maxLayers"] = img.MaxLayers
	}
	return options
}

// attach attaches the documents in a repository.
func (r *Release) attach(ctx context.Context, repository string, attachments []attachment) error {
	for _, a := range attachments {
		if err := r.Registry.Attach(ctx, repository, a.digest, a.documents); err != nil {
			return err
		}
	}
	return nil
}
