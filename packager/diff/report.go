// Package diff compares two images that exist already: buildpackages, builders and others, from any
// source and of any tool.
//
// It reads manifests, configs and labels, and no layer: what it says about content is what labels
// and digests say. A [Report] is a plain value whose JSON form is documented in docs/diff.md:
// numbers that are unknown are null, and lists are never null.
package diff

// Schema is the version of the JSON form. A change that removes a key or changes its meaning needs
// a new number.
const Schema = 1

// Report compares the images of two locations, for all platforms.
type Report struct {
	Schema int    `json:"schema"`
	Old    Source `json:"old"`
	New    Source `json:"new"`
	// Identical reports whether the locations have the same images.
	Identical bool `json:"identical"`
	// AddedTargets and RemovedTargets are the platforms that only one location has.
	AddedTargets   []string `json:"added_targets"`
	RemovedTargets []string `json:"removed_targets"`
	// Images has one element for each platform that both have, in the order of NEW.
	Images []Diff `json:"images"`
}

// Source is one of the locations.
type Source struct {
	// Name is the location as the user wrote it.
	Name string `json:"name"`
	// Digest is that of the index, or empty if there is none.
	Digest string `json:"digest,omitempty"`
}

// Diff compares two images.
type Diff struct {
	Target string `json:"target"`
	// Identical reports whether they are the same image. If not, there may still be no difference
	// in anything that is compared.
	Identical bool  `json:"identical"`
	Old       Image `json:"old"`
	New       Image `json:"new"`
	// Modules are the buildpacks and extensions that differ: top-level ones first, then by id.
	Modules []Module `json:"modules"`
	// Unchanged is the number of the others. Unknown is the number of modules, moved ones included,
	// whose version is the same, but whose content cannot be compared without reading layers.
	Unchanged int     `json:"unchanged_modules"`
	Unknown   int     `json:"unknown_modules"`
	Orders    []Order `json:"orders"`
	Values    []Value `json:"values"`
	Lists     []List  `json:"lists"`
	Env       []Value `json:"env"`
	Labels    []Label `json:"labels"`
	Layers    Layers  `json:"layers"`
}

// Image describes one of the images.
type Image struct {
	Kind   string `json:"kind"`
	Target string `json:"target"`
	// Ref is the root of a buildpackage.
	Ref string `json:"ref,omitempty"`
	// Digest is that of the manifest; it is empty in the Docker daemon and its archives.
	Digest string `json:"digest,omitempty"`
	// ID is the digest of the config.
	ID     string `json:"id"`
	Layers int    `json:"layers"`
	// Bytes is the sum of the compressed sizes of its layers, each blob once.
	Bytes *int64 `json:"bytes"`
	// Most is the most layers that Docker's engine loads; for a builder, less what a platform adds
	// for a build. Headroom is how many may be added; it is negative if there are too many.
	Most     int `json:"most_layers"`
	Headroom int `json:"headroom"`
	// Problems are what is wrong with the labels; what they describe is not compared.
	Problems []string `json:"problems"`
}

// The kinds of changes of [Module], [Group], [Value] and [Label].
const (
	Added      = "added"
	Removed    = "removed"
	Upgraded   = "upgraded"
	Downgraded = "downgraded"
	Changed    = "changed" // of versions: neither is known to be newer
	Rebuilt    = "rebuilt" // the same version with other content
	Moved      = "moved"   // the same version in another layer; of groups: at another place
)

// Module is a buildpack or an extension that differs.
type Module struct {
	Change string `json:"change"`
	Kind   string `json:"kind"` // buildpack or extension
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	// From and To are the versions; one of them is empty for a module that is added or removed.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// TopLevel modules are named by the order of the builder, or of the buildpackage's root. In are
	// the top-level composites that reach any other.
	TopLevel bool     `json:"top_level"`
	In       []string `json:"in"`
	// Moved reports whether it shares its layer with others than before.
	Moved bool `json:"moved"`
	// Unknown reports whether its version is the same and its content cannot be compared.
	Unknown bool `json:"unknown"`
	// OldLayer and NewLayer are the numbers of its layers, from 1; 0 if it is absent.
	OldLayer int `json:"old_layer,omitempty"`
	NewLayer int `json:"new_layer,omitempty"`
}

// Order is a detection order that differs.
type Order struct {
	// Name is "order", "order of extensions", "system buildpacks before" or "system buildpacks
	// after".
	Name   string  `json:"name"`
	Groups []Group `json:"groups"`
}

// Group is a group of an order that differs.
type Group struct {
	Change string `json:"change"` // added, removed, moved or changed
	// From and To are its numbers, from 1; 0 if it is absent.
	From int `json:"from,omitempty"`
	To   int `json:"to,omitempty"`
	// Entries are those of the new group, or those of one that is removed.
	Entries []string `json:"entries"`
	// Added, Removed and Reordered describe a changed group. Versions are entries that name another
	// version although no buildpack was upgraded.
	Added     []string `json:"added"`
	Removed   []string `json:"removed"`
	Reordered bool     `json:"reordered"`
	Versions  []Value  `json:"versions"`
}

// Value is a single value that differs.
type Value struct {
	Name   string `json:"name"`
	Change string `json:"change"` // added, removed or changed
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
}

// List is a list that differs.
type List struct {
	Name    string   `json:"name"`
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	// Reordered reports whether what both have is in another order.
	Reordered bool `json:"reordered"`
}

// Label is a label that differs.
type Label struct {
	Key    string `json:"key"`
	Change string `json:"change"` // added, removed or changed
	// From and To are the values if they are short and not JSON.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Keys are the first keys that differ if the values are JSON objects, and MoreKeys is the
	// number of others.
	Keys     []string `json:"keys"`
	MoreKeys int      `json:"more_keys,omitempty"`
	OldBytes int      `json:"old_bytes"`
	NewBytes int      `json:"new_bytes"`
	// Covered labels hold what the rest of the Diff describes.
	Covered bool `json:"covered"`
}

// Layers compares the layers.
type Layers struct {
	// Kept, Recompressed and New count the layers of NEW by [Layer.State]; Dropped counts those of
	// OLD whose content NEW lacks.
	Kept         int `json:"kept"`
	Recompressed int `json:"recompressed"`
	New          int `json:"new"`
	Dropped      int `json:"dropped"`
	// Base compares the layers of the build image of builders; in builders of tools other than
	// laminate and pack, all that is below the buildpacks.
	Base BaseLayers `json:"base"`
	// Pull is what clients pull that have OLD and reuse every blob: content stores, registries.
	Pull Pull `json:"pull"`
	// Prefix is what Docker's graph driver pulls: all above the lowest layers that are the same.
	Prefix Pull `json:"pull_prefix"`
	// All are the layers of NEW, lowest first.
	All []Layer `json:"layers"`
}

// BaseLayers counts the layers of the build images.
type BaseLayers struct {
	Old  int `json:"old"`
	New  int `json:"new"`
	Kept int `json:"kept"` // of NEW's
}

// Pull is a number of layers, each blob once, and their compressed bytes.
type Pull struct {
	Layers int `json:"layers"`
	// Bytes is null where the sizes or the digests of blobs are unknown: those of images in the
	// Docker daemon and its archives.
	Bytes *int64 `json:"bytes"`
}

// The values of [Layer.State].
const (
	Kept         = "kept"
	Recompressed = "recompressed" // OLD has the content in another blob
	New          = "new"
)

// Layer is a layer of NEW.
type Layer struct {
	Number int    `json:"number"`
	State  string `json:"state"`
	// Was is the number of the layer with the same content in OLD; 0 if there is none.
	Was int `json:"was,omitempty"`
	// InPrefix reports whether Docker's graph driver reuses it.
	InPrefix bool   `json:"in_prefix"`
	DiffID   string `json:"diff_id"`
	Digest   string `json:"digest,omitempty"`
	Bytes    *int64 `json:"bytes"` // compressed
	// Refs are the modules that the labels have in the layer.
	Refs []string `json:"refs"`
}
