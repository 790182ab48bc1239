package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
	"laminate/packager/registry"
)

// read is what is known of a layer after it was read.
type read struct {
	// ok reports that the layer was read to its end, and that its tar is valid.
	ok       bool
	findings []Finding
	bytes    int64
	// holds are the labelled modules that have a directory in the layer, whatever layer the label
	// names.
	holds []module
	// others are the directories of modules that no label names. There may be more.
	others    []string
	more      int
	whiteouts []string
	pieces    map[module]flatten.Facts
	// again are the kinds of modules for which the layer was read once more.
	again []flatten.Kind
	// files are those of a builder, by path; a nil content is one that was not read.
	files map[string][]byte
}

const (
	// othersLimit is how many unlabelled directories of a layer are reported.
	othersLimit = 20
	// whiteoutsLimit bounds the names of all whiteouts of an image in memory.
	whiteoutsLimit = 16 << 20
)

// readLayers reads all layers side by side, the largest first. Its results do not depend on the
// order in which layers are read.
func (v *verifier) readLayers(ctx context.Context) ([]*read, error) {
	layers := v.img.Contents()
	reads := make([]*read, len(layers))
	var bySize []int
	for i := range layers {
		bySize = append(bySize, i)
	}
	if v.stored() {
		slices.SortStableFunc(bySize, func(a, b int) int {
			x, _ := layers[a].Size() // of the manifest
			y, _ := layers[b].Size()
			return cmp.Compare(y, x)
		})
	}
	var whiteouts atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, i := range bySize {
		group.Go(func() error {
			r := &reading{verifier: v, index: i, layer: layers[i], read: &read{pieces: map[module]flatten.Facts{}, files: map[string][]byte{}}}
			reads[i] = r.read
			if err := r.do(ctx); err != nil {
				return err
			}
			for _, w := range r.whiteouts {
				if whiteouts.Add(int64(len(w))) > whiteoutsLimit {
					return fmt.Errorf("%s: names of whiteouts are longer than %d MiB in total", v.img.Name, whiteoutsLimit>>20)
				}
			}
			return nil
		})
	}
	return reads, group.Wait()
}

// reading is the state of reading one layer. It only reads from the verifier.
type reading struct {
	*verifier
	*read
	index int
	layer *image.Layer
}

func (r *reading) find(s Severity, what What, ref string, format string, args ...any) {
	if len(r.findings) <= findingLimit {
		r.findings = append(r.findings, Finding{Severity: s, What: what, Ref: ref, Message: fmt.Sprintf(format, args...)})
	}
}

// do reads the layer once, to its end: the survey and the inspections of its modules share the
// stream.
func (r *reading) do(ctx context.Context) error {
	rc, err := r.layer.Open(ctx)
	if err != nil {
		return r.unread(ctx, err)
	}
	t := &tee{r: rc}
	var inspections []*inspection
	for _, kind := range kinds {
		if refs := r.expected(kind); len(refs) > 0 {
			inspections = append(inspections, t.inspect(kind, refs))
		}
	}
	surveyed, wrong := layer.Survey(ctx, func(context.Context) (io.ReadCloser, error) { return io.NopCloser(t), nil }, r.wants)
	if t.err == nil {
		_, _ = io.Copy(io.Discard, t) // an error is in t.err
	}
	for _, i := range inspections {
		<-i.done
	}
	r.bytes = t.n
	if err := errors.Join(rc.Close(), ctx.Err()); err != nil {
		return err
	}
	if !errors.Is(t.err, io.EOF) {
		return r.unread(ctx, t.err)
	}
	if wrong != nil {
		r.find(Broken, Tar, "", "%v", wrong)
		return nil
	}
	r.ok = true
	r.survey(surveyed)
	for _, i := range inspections {
		r.inspected(i, surveyed)
	}
	r.descriptors(surveyed)
	return nil
}

// expected returns the refs that the layer should hold: those of the layers label, and those of
// laminate's label, which also has modules that the image does not use.
func (r *reading) expected(kind flatten.Kind) []flatten.Ref {
	refs := slices.Clone(r.byLayer[r.index][kind])
	if len(refs) == 0 {
		return nil
	}
	for _, f := range r.layer.Facts {
		if !slices.Contains(refs, f.Ref) {
			refs = append(refs, f.Ref)
		}
	}
	return refs
}

// unread reports that the layer cannot be read, or returns the error if that says nothing about the
// image.
func (r *reading) unread(ctx context.Context, err error) error {
	var answer *transport.Error
	missing := errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
	inFile := errors.As(err, new(*fs.PathError)) // whose error numbers are network errors to package net
	if ctx.Err() != nil || registry.IsNetwork(err) && !missing && !inFile || errors.Is(err, fs.ErrPermission) {
		return cmp.Or(ctx.Err(), err)
	}
	what := Blob
	if errors.As(err, new(*image.DiffIDError)) {
		what = DiffID
	}
	err = image.Cause(err)
	if missing {
		err = errors.New("the registry does not have it")
	}
	r.find(Broken, what, "", "%v", err)
	return nil
}

// wants reports whether a file of the layer is needed.
func (r *reading) wants(name string) bool {
	dir, base := path.Split(name)
	if m, is := r.dirs[strings.TrimSuffix(dir, "/")]; is {
		return base == m.kind.Descriptor()
	}
	return r.img.Kind() == image.Builder && isBuilderFile(name)
}

// survey records what is in the layer.
func (r *reading) survey(s layer.Surveyed) {
	r.whiteouts = s.Whiteouts
	if s.Duplicate != "" {
		r.find(Broken, Duplicate, "", "duplicate path %s: Docker and podman refuse the layer", s.Duplicate)
	}
	for _, d := range s.Modules {
		m, labelled := r.dirs[d.Path]
		switch {
		case labelled:
			r.holds = append(r.holds, m)
		case len(r.others) < othersLimit:
			r.others = append(r.others, d.Path)
		default:
			r.more++
		}
	}
	for name, content := range s.Files {
		if isBuilderFile(name) {
			r.files[name] = content
		}
	}
	for name := range s.Unread {
		if isBuilderFile(name) {
			r.files[name] = nil
		}
	}
}

// inspected compares the pieces with the labels.
func (r *reading) inspected(i *inspection, s layer.Surveyed) {
	if i.err != nil {
		r.content(i, s)
		return
	}
	for _, p := range i.report.Pieces {
		r.pieces[module{i.kind, p.Ref}] = p
	}
	said := r.layer.Facts
	if why := i.report.NonCanonical; why != "" && s.Duplicate == "" {
		unexpected := strings.HasPrefix(why, "unexpected ") // is reported for the directory
		if said != nil {
			r.find(Broken, Form, "", "laminate's label describes the layer, but laminate does not write it so: %s", why)
		} else if !unexpected {
			r.find(Note, Form, "", "another tool's layer: %s", why)
		}
	}
	if said == nil {
		return
	}
	for _, p := range said {
		found := r.pieces[module{i.kind, p.Ref}]
		switch {
		case found.ContentID != p.ContentID:
			r.find(Broken, OwnLabel, p.Ref.String(), "its content identity is %s, label %s says %s", found.ContentID, flatten.RecipesLabelKey, p.ContentID)
		case found.Length != p.Length:
			r.find(Broken, OwnLabel, p.Ref.String(), "its length is %d, label %s says %d", found.Length, flatten.RecipesLabelKey, p.Length)
		}
	}
	if len(said) != len(i.report.Pieces) {
		for _, p := range i.report.Pieces {
			if !slices.ContainsFunc(said, func(f flatten.Facts) bool { return f.Ref == p.Ref }) {
				r.find(Broken, OwnLabel, p.Ref.String(), "label %s does not have it in this layer", flatten.RecipesLabelKey)
			}
		}
	} else if !slices.EqualFunc(said, i.report.Pieces, func(a, b flatten.Facts) bool { return a.Ref == b.Ref }) && said != nil {
		r.find(Broken, OwnLabel, "", "label %s has the modules in another order", flatten.RecipesLabelKey)
	}
}

// content reports why the modules of a layer cannot be inspected, unless that is reported already.
func (r *reading) content(i *inspection, s layer.Surveyed) {
	for _, err := range parts(i.err) {
		ref, isMissing := strings.CutSuffix(err.Error(), " has no files in the layer")
		switch {
		case isMissing && slices.ContainsFunc(r.byLayer[r.index][i.kind], func(o flatten.Ref) bool { return o.String() == ref }):
			// a missing directory
		case isMissing:
			r.find(Broken, OwnLabel, ref, "label %s has it in this layer, but it is not there", flatten.RecipesLabelKey)
		case s.Duplicate != "" && strings.Contains(err.Error(), "duplicate path"):
		case strings.Contains(err.Error(), "would have the same directory"):
		default:
			r.find(Broken, Content, "", "%v", err)
		}
	}
}
