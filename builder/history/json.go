package history

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"laminate/flatten"
)

// document is the encoded file.
type document struct {
	Builder    string          `json:"builder"`
	Notes      json.RawMessage `json:"notes,omitempty"`
	Sizes      once[int64]     `json:"sizes"`
	Composites once[[]string]  `json:"composites"`
	Releases   []release       `json:"releases"`
}

type release struct {
	Version    string    `json:"version"`
	Date       time.Time `json:"date,omitzero"`
	Lifecycle  string    `json:"lifecycle,omitempty"`
	BuildImage string    `json:"build_image,omitempty"`
	Buildpacks []string  `json:"buildpacks"`
	Layers     []layer   `json:"layers,omitempty"`
}

type layer struct {
	Digest string   `json:"digest"`
	Size   int64    `json:"size"`
	Refs   []string `json:"refs,omitempty"`
}

// once is an object with unique keys: otherwise the last of several values would win silently.
type once[V any] map[string]V

// UnmarshalJSON implements json.Unmarshaler.
func (o *once[V]) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	*o = once[V]{}
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(err, errors.New("sizes and composites must be objects"))
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		if _, twice := (*o)[key]; twice {
			return fmt.Errorf("duplicate key %q", key)
		}
		var v V
		if err := d.Decode(&v); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		(*o)[key] = v
	}
	return nil
}

// Read reads and validates a history file. It does not close r. It joins all errors of validation.
func Read(r io.Reader) (*File, error) { return read(r, maxFile) }

func read(r io.Reader, most int64) (*File, error) {
	buffered := bufio.NewReader(r)
	r = buffered
	if magic, _ := buffered.Peek(2); string(magic) == "\x1f\x8b" {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, err
		}
		r = unzipped
	}
	bounded := &io.LimitedReader{R: r, N: most + 1}
	d := json.NewDecoder(bounded)
	d.DisallowUnknownFields()
	var doc document
	err := d.Decode(&doc)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.Join(errors.New("data after the JSON object"), ignore(more))
		}
	}
	if bounded.N <= 0 {
		return nil, fmt.Errorf("larger than the limit of %d bytes", most)
	}
	if err != nil {
		return nil, fmt.Errorf("invalid history; create one with `laminate builder history`: %w", err)
	}
	f := doc.file()
	return f, f.Check()
}

// ignore drops syntax errors, which only show that there is more data.
func ignore(err error) error {
	if errors.As(err, new(*json.SyntaxError)) {
		return nil
	}
	return err
}

// file converts the document.
func (d document) file() *File {
	f := &File{Builder: d.Builder, Notes: d.Notes, Sizes: map[flatten.Ref]int64{}, Composites: map[flatten.Ref][]flatten.Ref{}}
	for name, bytes := range d.Sizes {
		f.Sizes[cut(name)] = bytes
	}
	for name, children := range d.Composites {
		f.Composites[cut(name)] = cutAll(children)
	}
	for _, r := range d.Releases {
		release := Release{Version: r.Version, Date: r.Date, Lifecycle: r.Lifecycle, BuildImage: r.BuildImage, Buildpacks: cutAll(r.Buildpacks)}
		for _, l := range r.Layers {
			release.Layers = append(release.Layers, Layer{Digest: l.Digest, Size: l.Size, Refs: cutAll(l.Refs)})
		}
		f.Releases = append(f.Releases, release)
	}
	return f
}

// cut splits id@version; [File.Check] validates the parts. A trailing "@" is kept, and refused
// there.
func cut(s string) flatten.Ref {
	if id, version, _ := strings.Cut(s, "@"); version != "" {
		return flatten.Ref{ID: id, Version: version}
	}
	return flatten.Ref{ID: s}
}

func cutAll(names []string) []flatten.Ref {
	var refs []flatten.Ref
	for _, n := range names {
		refs = append(refs, cut(n))
	}
	return refs
}

// Write writes the history for [Read]; equal histories give equal bytes. It does not close w.
func (f *File) Write(w io.Writer) error {
	doc := document{Builder: f.Builder, Notes: f.Notes, Sizes: once[int64]{}, Composites: once[[]string]{}, Releases: []release{}}
	for r, bytes := range f.Sizes {
		doc.Sizes[r.String()] = bytes
	}
	for r, children := range f.Composites {
		doc.Composites[r.String()] = written(children)
	}
	for _, r := range f.Releases {
		out := release{Version: r.Version, Date: r.Date, Lifecycle: r.Lifecycle, BuildImage: r.BuildImage, Buildpacks: written(r.Buildpacks)}
		for _, l := range r.Layers {
			out.Layers = append(out.Layers, layer{Digest: l.Digest, Size: l.Size, Refs: written(l.Refs)})
		}
		doc.Releases = append(doc.Releases, out)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

func written(refs []flatten.Ref) []string {
	var names []string
	for _, r := range refs {
		names = append(names, r.String())
	}
	return names
}
