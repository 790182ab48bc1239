// Package verify checks images that exist already: buildpackages, builders and any others, from any
// source and of any tool.
//
// [Image] reads every layer once, to its end, and reports everything that is wrong: with the bytes,
// with what the labels say about them, and with the orders. [Against] compares the files of the
// modules of two images. [AttachedTo] checks the documents and signatures of an image in a registry.
// docs/verify.md lists the checks.
package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"laminate/flatten"
	"laminate/packager/image"
)

// Schema is the version of the JSON form. A change that removes a key or changes its meaning needs
// a new number.
const Schema = 1

// Result describes the images of a location, as JSON.
type Result struct {
	Schema int `json:"schema"`
	// Name is the location as the user wrote it, and Against that of the images that they were
	// compared with.
	Name    string `json:"name"`
	Against string `json:"against,omitempty"`
	// OK reports that nothing is broken.
	OK     bool      `json:"ok"`
	Images []*Report `json:"images"`
	// AgainstImages are those of Against. If they are broken, OK is false.
	AgainstImages []*Report `json:"against_images,omitempty"`
	// Attached is what is attached to the index, if there is one, and to each of its images, in a
	// registry.
	Attached []*Attached `json:"attached,omitempty"`
	// Differences are those between the two locations. They are broken.
	Differences []Finding `json:"differences"`
}

// Severity says how bad a finding is.
type Severity string

const (
	// Broken means that the image does not hold what it says, or that engines or platforms cannot
	// use it.
	Broken Severity = "broken"
	// Note is for everything else that is worth knowing.
	Note Severity = "note"
)

// Finding is something that a check found.
type Finding struct {
	Severity Severity `json:"severity"`
	// What is the check, one of the constants of type [What].
	What What `json:"what"`
	// Target is the platform, in differences between two locations.
	Target string `json:"target,omitempty"`
	// Layer is the number of the layer from the bottom, from 1; 0 if the finding is not about one.
	Layer int `json:"layer,omitempty"`
	// Ref is the module that the finding is about, or "".
	Ref string `json:"ref,omitempty"`
	// Message is for people.
	Message string `json:"message"`
}

// What is a check.
type What string

// The checks.
const (
	Size        What = "size"              // of manifest and config
	LayerCount  What = "layer-count"       // for engines and platforms
	Label       What = "label"             // has the form that its readers expect
	LabelLayer  What = "label-layer"       // names a layer of the image
	OwnLabel    What = "laminate-label"    // of laminate matches the layers
	Root        What = "root"              // of a buildpackage is in it
	Metadata    What = "builder-metadata"  // lists the modules
	Blob        What = "blob"              // has digest, size and compression of the manifest
	DiffID      What = "diff-id"           // of the config is that of the tar
	Tar         What = "tar"               // can be read
	Duplicate   What = "duplicate-path"    // in a layer
	Missing     What = "missing-directory" // of a labelled module
	Unlabelled  What = "unlabelled-directory"
	Content     What = "content"          // is of types that a module may have
	Form        What = "form"             // is the one that laminate writes
	Descriptor  What = "descriptor"       // equals the label
	SharedDir   What = "shared-directory" // of two refs
	TwoLayers   What = "two-layers"       // have a module's directory
	Hidden      What = "hidden"           // by a whiteout
	Order       What = "order"            // names modules of the image
	OrderFile   What = "order-file"       // equals the label
	BuilderFile What = "builder-file"     // exists
	Lifecycle   What = "lifecycle"        // is complete
	API         What = "api"              // is supported by the lifecycle
	Platform    What = "platform"         // is in both locations
	Modules     What = "modules"          // are in both images
	Files       What = "files"            // of a module are the same in both images

	AttachedDocument What = "attachment" // is about the image
	Signature        What = "signature"  // of the key is valid
)

// Report is what was found in one image. Findings are about the image first, then about its layers
// from the bottom, then about its modules, and then about the files of a builder.
type Report struct {
	Kind   string `json:"kind"`
	Target string `json:"target"`
	// Digest is that of the manifest; it is empty in the Docker daemon and its archives.
	Digest string `json:"digest,omitempty"`
	// OK reports that nothing is broken.
	OK bool `json:"ok"`
	// Layers is the number of layers, Buildpacks and Extensions are those of the modules in labels.
	Layers     int `json:"layers"`
	Buildpacks int `json:"buildpacks"`
	Extensions int `json:"extensions"`
	// CompressedBytes is the size of the layers; 0 in the Docker daemon and its archives. Bytes is
	// the length of their tars, as far as they could be read.
	CompressedBytes int64 `json:"compressed_bytes"`
	Bytes           int64 `json:"bytes"`
	// ConfigBytes is the size of the config, and LabelBytes that of all labels in it.
	ConfigBytes int64     `json:"config_bytes"`
	LabelBytes  int64     `json:"label_bytes"`
	Findings    []Finding `json:"findings"`
	// Omitted is the number of further findings.
	Omitted int `json:"omitted"`

	img   *image.Image
	parts map[module]part
}

// module is a ref of a kind.
type module struct {
	kind flatten.Kind
	ref  flatten.Ref
}

func (m module) compare(o module) int {
	return cmp.Or(cmp.Compare(m.kind, o.kind), m.ref.Compare(o.ref))
}

func (m module) dir() string { return m.kind.Dir(m.ref) }

// part is where a module is in an image.
type part struct {
	*image.Module
	layer int // index
	// facts are what reading found; the zero value if it failed.
	facts flatten.Facts
}

// findingLimit is the maximum number of findings of one image.
const findingLimit = 1000

// kinds are the kinds of modules, in the order in which they are checked.
var kinds = []flatten.Kind{flatten.Buildpack, flatten.Extension}

// Image verifies an image. The error is one of reading it: a registry that does not answer, or ctx.
// Whatever is wrong with the image itself is a finding.
func Image(ctx context.Context, img *image.Image) (*Report, error) {
	v := &verifier{img: img, dirs: map[string]module{}, unknown: map[flatten.Kind]bool{}, Report: &Report{
		Kind: string(img.Kind()), Target: img.Target.String(), Layers: len(img.Contents()), Findings: []Finding{},
		img: img, parts: map[module]part{},
	}}
	if err := v.identity(); err != nil {
		return nil, err
	}
	v.labels()
	v.Buildpacks, v.Extensions = len(v.plain[flatten.Buildpack]), len(v.plain[flatten.Extension])
	v.limits()
	v.orders()
	reads, err := v.readLayers(ctx)
	if err != nil {
		return nil, err
	}
	v.reads = reads
	for i, r := range reads {
		v.Bytes += r.bytes
		for _, f := range r.findings {
			f.Layer = i + 1
			v.add(f)
		}
		v.directories(i)
	}
	if err := v.modules(ctx); err != nil {
		return nil, err
	}
	if img.Kind() == image.Builder {
		v.builderFiles()
	}
	v.OK = !slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.Severity == Broken })
	return v.Report, nil
}

// verifier is the state of the verification of one image.
type verifier struct {
	*Report
	img     *image.Image
	dirs    map[string]module // directory -> labelled module
	byLayer []map[flatten.Kind][]flatten.Ref
	plain   map[flatten.Kind]flatten.Modules
	unknown map[flatten.Kind]bool // whose layers label is invalid or missing: nothing else is said of them
	builder *image.BuilderLabels
	reads   []*read
}

// add adds a finding. Broken ones push out notes if there are too many.
func (v *verifier) add(f Finding) {
	if len(v.Findings) < findingLimit {
		v.Findings = append(v.Findings, f)
		return
	}
	v.Omitted++
	if f.Severity != Broken {
		return
	}
	for i := len(v.Findings) - 1; i >= 0; i-- {
		if v.Findings[i].Severity == Note {
			v.Findings = append(slices.Delete(v.Findings, i, i+1), f)
			return
		}
	}
}

func (v *verifier) broken(what What, format string, args ...any) {
	v.add(Finding{Severity: Broken, What: what, Message: fmt.Sprintf(format, args...)})
}

func (v *verifier) note(what What, format string, args ...any) {
	v.add(Finding{Severity: Note, What: what, Message: fmt.Sprintf(format, args...)})
}

// identity reads the digest and the sizes.
func (v *verifier) identity() error {
	if v.stored() {
		digest, err := v.img.Digest()
		if err != nil {
			return err
		}
		v.Digest = digest.String()
		for _, l := range v.img.Contents() {
			size, err := l.Size()
			if err != nil {
				return err
			}
			v.CompressedBytes += size
		}
	}
	config, err := v.img.RawConfigFile()
	if err != nil {
		return err
	}
	v.ConfigBytes = int64(len(config))
	for key, value := range v.img.Config.Config.Labels {
		v.LabelBytes += int64(len(key) + len(value))
	}
	return nil
}

// stored reports whether the image has a manifest of its own: in the Docker daemon it has none.
func (v *verifier) stored() bool {
	layers := v.img.Contents()
	return len(layers) == 0 || layers[0].Stored
}
