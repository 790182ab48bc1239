package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/config"
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/stream"
)

// local returns the local path of a location, after downloading it if necessary.
func (o *Opener) local(ctx context.Context, loc location.Location) (string, error) {
	if loc.Kind != location.HTTP {
		return loc.Path, nil
	}
	return o.files.Do(loc.URL, func() (string, error) { return o.download(ctx, loc) })
}

// tree is a directory or an archive that holds one module.
type tree struct {
	name  string       // for messages
	files []layer.File // from the root
	toml  string       // path of the descriptor, for messages
	file  string       // the same if the user can open it, or ""
}

// tree opens a directory or archive with a module. It returns nil if local is an image.
func (o *Opener) tree(ctx context.Context, loc location.Location, local string, kind flatten.Kind, target flatten.Target) (*tree, error) {
	info, err := os.Stat(local)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", loc, err)
	}
	t := &tree{name: loc.String(), toml: loc.String() + "/" + kind.Descriptor()}
	if info.IsDir() {
		if isLayout(local) {
			return nil, nil
		}
		t.file = filepath.Join(local, kind.Descriptor())
		t.toml = t.file
		if t.files, err = readDirectory(ctx, local, o.LeaveOut, o.Limits.OrDefault()); err != nil {
			return nil, fmt.Errorf("%s: %w", loc, err)
		}
	} else {
		a, err := o.archive(ctx, local, loc.String())
		if err != nil {
			return nil, err
		}
		if a.isOCI() || a.isDocker() {
			return nil, nil
		}
		if a.rooted != "" {
			return nil, fmt.Errorf("%s: entry %q has an absolute name, which a buildpack cannot have", loc, a.rooted)
		}
		t.files = a.files
	}
	if err := t.hasDescriptor(kind); err != nil {
		return nil, err
	}
	t.files = forTarget(t.files, target.Folders(), kind.Descriptor())
	return t, nil
}

// hasDescriptor returns an error if the root has no descriptor of the kind, with a hint at what was
// found instead.
func (t *tree) hasDescriptor(kind flatten.Kind) error {
	other := flatten.Extension
	if kind == flatten.Extension {
		other = flatten.Buildpack
	}
	var deeper string
	isOther := false
	for _, f := range t.files {
		switch {
		case f.Path == kind.Descriptor() && f.Mode.IsRegular():
			return nil
		case f.Path == kind.Descriptor():
			return fmt.Errorf("%s: %s is not a regular file", t.name, f.Path)
		case f.Path == other.Descriptor():
			isOther = true
		case filepath.Base(f.Path) == kind.Descriptor() && (deeper == "" || len(f.Path) < len(deeper)):
			deeper = f.Path
		}
	}
	switch {
	case isOther:
		return fmt.Errorf("%s: missing %s: this is %s, not %s", t.name, kind.Descriptor(), called[other], called[kind])
	case deeper != "":
		return fmt.Errorf("%s: missing %s at the root; found one at %s: use that directory, or repack with the file at the root", t.name, kind.Descriptor(), deeper)
	}
	return fmt.Errorf("%s: missing %s", t.name, kind.Descriptor())
}

var called = map[flatten.Kind]string{flatten.Buildpack: "a buildpack", flatten.Extension: "an image extension"}

// pack returns the module as a package.
func (t *tree) pack(kind flatten.Kind) (*image.Package, error) {
	data, err := t.read(kind.Descriptor())
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", t.name, kind.Descriptor(), err)
	}
	parsed, problems := config.ParseModule(kind, t.toml, data)
	problems = problems.Few()
	if err := problems.Err(); err != nil {
		return nil, err
	}
	m := &image.Module{Module: parsed.Module, Doc: parsed.Doc, Source: t.name, File: t.file}
	if m.Piece, err = layer.NormalForm(kind, m.Ref(), t.name, t.files); err != nil {
		return nil, err
	}
	return &image.Package{Name: t.name, Root: m.Ref(), Modules: []*image.Module{m}, Problems: append(problems.Warnings(), t.doubts(m)...)}, nil
}

// doubts warns about a component without executables, which usually was not compiled yet.
func (t *tree) doubts(m *image.Module) []config.Problem {
	if m.Kind != flatten.Buildpack || m.IsComposite() {
		return nil
	}
	var doubts []config.Problem
	for _, name := range []string{"bin/detect", "bin/build"} {
		there := false
		for _, f := range t.files {
			there = there || f.Path == name
		}
		if !there {
			doubts = append(doubts, config.Problem{File: t.toml, Message: fmt.Sprintf("%s has no %s", m.Ref(), name), Warning: true})
		}
	}
	return doubts
}

func (t *tree) read(name string) (data []byte, err error) {
	for _, f := range t.files {
		if f.Path == name && f.Open != nil {
			r, err := f.Open()
			if err != nil {
				return nil, err
			}
			data, err = io.ReadAll(io.LimitReader(r, config.MaxSize+1)) // the parser refuses larger files
			return data, errors.Join(err, r.Close())
		}
	}
	return nil, fs.ErrNotExist
}

// openFile opens the image in a local file or directory, or in a download.
func (o *Opener) openFile(ctx context.Context, img *opening, loc location.Location, target flatten.Target) error {
	local, err := o.local(ctx, loc)
	if err != nil {
		return err
	}
	info, err := os.Stat(local)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", loc, err)
	case info.IsDir() && isLayout(local):
		return img.openLayout(dirBlobs(local), "", target)
	case info.IsDir():
		return fmt.Errorf("%s: is a directory, not an image; an image in a directory is an OCI layout", loc)
	}
	a, err := o.archive(ctx, local, loc.String())
	switch {
	case err != nil:
		return err
	case a.isOCI() && a.isDocker():
		return img.openSaved(a, target)
	case a.isOCI():
		return img.openLayout(a, "", target)
	case a.isDocker():
		return img.openDocker(a, "")
	}
	for _, kind := range []flatten.Kind{flatten.Buildpack, flatten.Extension} {
		if a.has(kind.Descriptor()) {
			return fmt.Errorf("%s: archive of %s, not an image; package it first", loc, called[kind])
		}
	}
	return fmt.Errorf("%s: not an image: neither oci-layout nor manifest.json found", loc)
}

func (a *archive) isOCI() bool { return a.has("oci-layout") && a.has("index.json") }
func (a *archive) isDocker() bool {
	return a.has("manifest.json") && !a.has("buildpack.toml") && !a.has("extension.toml")
}

// archive lists a tar or zip file, compressed or not, once per run. It detects the format by
// content; name is for messages.
func (o *Opener) archive(ctx context.Context, file, name string) (*archive, error) {
	a, err := o.tars.Do(file, func() (*archive, error) { return o.readArchive(ctx, file, name) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return a, nil
}

// archiveKinds lists the supported archives, for messages.
const archiveKinds = "tar, plain or compressed with gzip or zstd, or zip"

// otherKinds are known unsupported formats, by magic bytes.
var otherKinds = []struct{ magic, kind string }{
	{"\xfd7zXZ", "compression xz"},
	{"BZh", "compression bzip2"},
	{"LZIP", "compression lzip"},
	{"\x04\x22\x4d\x18", "compression lz4"},
	{"\x5d\x00\x00", "compression lzma"},
	{"\x1f\x9d", "compression compress (.Z)"},
	{"7z\xbc\xaf\x27\x1c", "archive of kind 7z"},
	{"Rar!\x1a\x07", "archive of kind rar"},
	{"!<arch>", "archive of kind ar (.deb, .a)"},
	{"070701", "archive of kind cpio"},
	{"070707", "archive of kind cpio"},
	{"\xed\xab\xee\xdb", "archive of kind rpm"},
	{"hsqs", "archive of kind squashfs"},
	{"PK\x07\x08", "zip in several volumes"},
}

func (o *Opener) readArchive(ctx context.Context, file, name string) (_ *archive, err error) {
	listed, err := listOriginal(file)
	if err != nil {
		return nil, err
	}
	f, err := listed.open(0, listed.info.Size())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	head := bufio.NewReaderSize(stream.WithContext(ctx, f), 64<<10)
	magic, err := head.Peek(7)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	is := func(prefix string) bool { return bytes.HasPrefix(magic, []byte(prefix)) }
	switch {
	case len(magic) == 0:
		return nil, errors.New("empty file")
	case is("\x1f\x8b"):
		return o.readCompressed(ctx, head, layer.Gzip, name, listed.info.Size())
	case is("\x28\xb5\x2f\xfd"):
		return o.readCompressed(ctx, head, layer.Zstd, name, listed.info.Size())
	case is("PK\x03\x04"), is("PK\x05\x06"):
		return o.readZip(ctx, listed)
	}
	a, err := o.readTarFile(ctx, listed)
	if errors.Is(err, errNoTar) || listed.info.Size() < 512 { // only then: a tar may begin with any bytes
		return nil, unsupportedKind(magic)
	}
	return a, err
}

// unsupportedKind returns the error for a file of an unsupported format, by its magic bytes.
func unsupportedKind(magic []byte) error {
	for _, other := range otherKinds {
		if bytes.HasPrefix(magic, []byte(other.magic)) {
			return fmt.Errorf("unsupported %s; use %s", other.kind, archiveKinds)
		}
	}
	return errors.New("unknown kind of archive; use " + archiveKinds)
}

// readCompressed lists a compressed tar, and reads it to the end.
func (o *Opener) readCompressed(ctx context.Context, f io.Reader, c layer.Compression, name string, size int64) (_ *archive, err error) {
	task := o.log().Start(progress.Reading, progress.Subject{Name: name}, size)
	defer func() { task.Done(err) }()
	packed := &stream.Counted{Reader: reported{f, task}}
	r, err := c.DecompressArchive(packed)
	if err != nil {
		return nil, err
	}
	defer r.Close() // its errors come when it is read
	return o.readTarStream(ctx, stream.Within(o.Limits.OrDefault(), r, packed), size)
}

// reported reports bytes read to a task.
type reported struct {
	io.Reader
	task progress.Task
}

func (r reported) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.task.Add(int64(n))
	return n, err
}
