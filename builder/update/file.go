package update

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/localfile"
	"laminate/packager/location"
)

// File is a file that may be updated.
type File struct {
	Path string
	Data []byte
}

// file is a parsed file.
type file struct {
	File
	dir      string
	doc      config.Doc
	comments *comments
	refs     []*reference
	entries  []*entry
	ends     map[int]int // digests without a tag that end on each line
}

// entry is a version that follows an image: in an order.
type entry struct {
	file *file
	kind flatten.Kind
	key  string
	id   string
	text config.Text
	path []any
}

// Files are a builder.toml, or a package.toml and the buildpack.toml of its composite.
type Files struct {
	files []*file
}

// Read reads a builder.toml or a package.toml, whichever the content is. It returns all problems at
// once. Unknown keys are not problems.
func Read(path string) (*Files, error) {
	main, err := open(path)
	if err != nil {
		return nil, err
	}
	f := &Files{files: []*file{main}}
	switch doc := main.doc; {
	case doc.Has("api"), doc.Has("buildpack", "id"), doc.Has("extension", "id"):
		return nil, fmt.Errorf("%s: it is a buildpack.toml or extension.toml; name the package.toml or builder.toml, and a composite's buildpack.toml is updated with its package.toml", path)
	case doc.Has("dependencies"), doc.Has("buildpack"), doc.Has("extension"):
		err = main.readPackage()
		if err == nil {
			err = f.addComposite()
		}
	case doc.Has("buildpacks"), doc.Has("extensions"), doc.Has("build"), doc.Has("run"), doc.Has("stack"), doc.Has("lifecycle"), doc.Has("order"):
		err = main.readBuilder()
	default:
		return nil, fmt.Errorf("%s: it is neither a builder.toml nor a package.toml: it has no table of either", path)
	}
	if err != nil {
		return nil, err
	}
	var problems config.Problems
	for _, file := range f.files {
		problems = append(problems, file.comments.invalid...)
		problems = append(problems, file.comments.unused()...)
	}
	return f, problems.InOrder().Err()
}

// open reads and parses a file.
func open(path string) (*file, error) {
	data, err := localfile.Read(path, config.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, localfile.Reason(err))
	}
	doc, problems := config.Parse(path, data)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &file{File: File{path, data}, dir: filepath.Dir(path), doc: doc, comments: newComments(path, doc), ends: map[int]int{}}, nil
}

// shares reports whether the comment on the line of a digest without a tag may be another one's.
func (f *file) shares(r *reference) bool { return f.ends[r.text.LastLine] > 1 }

// lines are line numbers.
type lines []int

// add adds the reference at a path, whose tables have these headers.
func (f *file) add(r reference, isURI bool, headers lines, path ...any) error {
	text, ok := f.doc.Text(path...)
	if !ok {
		return nil
	}
	r.file, r.text, r.path = f, text, path
	r.limit = f.comments.of(text, headers...)
	if err := r.classify(isURI); err != nil {
		return r.problem(err)
	}
	if r.digest != "" && r.tag == "" {
		f.ends[text.LastLine]++
	}
	f.refs = append(f.refs, &r)
	return nil
}

// header returns the line of the header of a table or list.
func (f *file) header(path ...any) int {
	line, _ := f.doc.Position(path...)
	return line
}

// packageForm has the types of the values in a package.toml that are read.
type packageForm struct {
	Buildpack    packageSource   `toml:"buildpack"`
	Extension    packageSource   `toml:"extension"`
	Dependencies []packageSource `toml:"dependencies"`
}

type packageSource struct {
	URI   string `toml:"uri"`
	Image string `toml:"image"`
}

func (f *file) readPackage() error {
	errs := []error{f.doc.Decode(new(packageForm), config.WarnOfUnknown).Err()}
	for _, kind := range []flatten.Kind{flatten.Buildpack, flatten.Extension} {
		errs = append(errs, f.add(reference{key: string(kind) + ".uri", kind: kind}, true, lines{f.header(string(kind))}, string(kind), "uri"))
	}
	for i := range f.doc.Len("dependencies") {
		errs = append(errs, f.source("dependencies", i, flatten.Buildpack))
	}
	return f.done(errs)
}

// source adds the reference in an element of a list of sources.
func (f *file) source(table string, i int, kind flatten.Kind) error {
	r := reference{kind: kind}
	if f.doc.Has(table, i, "version") {
		r.pair = []any{table, i, "version"}
	}
	var errs []error
	for _, key := range []string{"uri", "image"} {
		r.key = table + "." + key
		errs = append(errs, f.add(r, key == "uri", lines{f.header(table, i)}, table, i, key))
	}
	return errors.Join(errs...)
}

// done ends the reading of references, and returns the problems in their order.
func (f *file) done(errs []error) error {
	for _, r := range f.refs {
		r.readTag()
	}
	var problems config.Problems
	for _, err := range errs {
		problems = append(problems, problemsIn(err)...)
	}
	return problems.InOrder().Err()
}

// problemsIn returns the problems that are joined in an error.
func problemsIn(err error) (problems config.Problems) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			problems = append(problems, problemsIn(one)...)
		}
	} else if err != nil {
		problems = append(problems, err.(config.Problem)) // reading returns nothing else
	}
	return problems
}

// addComposite adds the buildpack.toml of a composite: the one in the directory that the
// package.toml names, or else the one next to it, which may be the source of a built archive.
func (f *Files) addComposite() error {
	main := f.files[0]
	dirs := []string{main.dir}
	if uri, ok := main.doc.Text("buildpack", "uri"); ok {
		if l, err := location.ParseSource(uri.Value, main.dir); err == nil && l.Kind == location.Path {
			dirs = []string{l.Path, main.dir}
		}
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, flatten.Buildpack.Descriptor())
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			continue
		}
		composite, err := open(path)
		if err != nil {
			return err
		}
		err = composite.readOrders("order")
		f.files = append(f.files, composite)
		return err
	}
	return nil
}
