package builder

import (
	"archive/tar"
	"bufio"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// lifecycle is an opened lifecycle: its descriptor and the metadata of its files.
type lifecycle struct {
	flatten.Lifecycle
	name   string
	open   layer.Opener
	files  []lifecycleFile
	diffID v1.Hash // of the layer
}

type lifecycleFile struct {
	base    string
	link    string      // of a symbolic link
	machine elf.Machine // of an executable
}

// lifecycleTOMLLimit is the maximum size of lifecycle.toml, which is held in memory.
const lifecycleTOMLLimit = 1 << 20

// openLifecycle opens the lifecycle in the last of the tars that has one.
func openLifecycle(ctx context.Context, name string, tars []layer.Opener, arch string) (*lifecycle, error) {
	for _, open := range slices.Backward(tars) {
		l, err := readLifecycle(ctx, name, open)
		if err == nil && l != nil {
			err = l.check(arch)
		}
		if err != nil || l != nil {
			return l, err
		}
	}
	return nil, errors.New("missing lifecycle.toml")
}

// readLifecycle reads a tar: an archive of the lifecycle, or a layer with one. It returns nil if
// there is no lifecycle.toml.
func readLifecycle(ctx context.Context, name string, open layer.Opener) (l *lifecycle, err error) {
	l = &lifecycle{name: name, open: open}
	var toml []byte
	l.diffID, err = layer.DiffIDOf(ctx, func(ctx context.Context, tw *tar.Writer) error {
		toml, l.files, err = l.copyTo(ctx, tw)
		return err
	})
	if err != nil || toml == nil {
		return nil, err
	}
	return l, l.describe(toml)
}

// isOfLifecycle reports whether an entry of an archive belongs to a lifecycle.
func isOfLifecycle(name string) bool {
	dir, base := splitLifecycle(name)
	return dir == "/" && base == "lifecycle.toml" || dir == "/lifecycle/"
}

// splitLifecycle returns directory and name of an entry. Images have below /cnb what archives have
// at the root.
func splitLifecycle(name string) (dir, base string) {
	return path.Split(strings.TrimPrefix(path.Clean("/"+name), "/cnb"))
}

// copyTo writes the layer: the files of the archive's directory lifecycle with their original
// headers, and the link for older platforms. It returns lifecycle.toml, or nil, and the metadata of
// the files.
func (l *lifecycle) copyTo(ctx context.Context, tw *tar.Writer) (toml []byte, files []lifecycleFile, err error) {
	r, err := l.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := tw.WriteHeader(directory(flatten.LifecycleDir)); err != nil {
		return nil, nil, err
	}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, nil, fmt.Errorf("reading tar: %w", err)
		}
		switch dir, base := splitLifecycle(h.Name); {
		case layer.IsSparse(h) && isOfLifecycle(h.Name): // a few bytes may expand to exabytes
			return nil, nil, fmt.Errorf("%s is a sparse file, which is unsupported; pack the archive without --sparse", h.Name)
		case dir == "/" && base == "lifecycle.toml":
			if toml, err = io.ReadAll(io.LimitReader(tr, lifecycleTOMLLimit)); err != nil {
				return nil, nil, fmt.Errorf("lifecycle.toml: %w", err)
			}
		case dir == "/lifecycle/" && h.Typeflag != tar.TypeDir:
			f, err := copyFile(tw, h, base, tr)
			if err != nil {
				return nil, nil, err
			}
			if has(files, base) {
				return nil, nil, fmt.Errorf("duplicate path %s", h.Name)
			}
			files = append(files, f)
		}
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // to verify its end
		return nil, nil, err
	}
	return toml, files, tw.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "/lifecycle", Linkname: flatten.LifecycleDir, Mode: 0o644, ModTime: layer.Epoch})
}

// copyFile copies a file of the lifecycle.
func copyFile(tw *tar.Writer, h *tar.Header, base string, content io.Reader) (lifecycleFile, error) {
	f := lifecycleFile{base: base, link: h.Linkname}
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeSymlink:
		if strings.Contains(h.Linkname, "/") {
			return f, fmt.Errorf("%s is a symbolic link out of its directory, to %s", h.Name, h.Linkname)
		}
	default:
		return f, fmt.Errorf("%s is neither a file, a directory nor a link", h.Name)
	}
	header := *h
	header.Name = flatten.LifecycleDir + "/" + base
	if err := tw.WriteHeader(&header); err != nil {
		return f, fmt.Errorf("%s: %w", h.Name, err)
	}
	buffered := bufio.NewReaderSize(content, 64<<10)
	if head, err := buffered.Peek(elfHead); err == nil {
		f.machine = machineIn(head)
	}
	if _, err := buffered.WriteTo(tw); err != nil {
		return f, fmt.Errorf("%s: %w", h.Name, err)
	}
	return f, nil
}

// check reports missing executables, and a lifecycle for another architecture.
func (l *lifecycle) check(arch string) error {
	var errs []error
	for _, binary := range flatten.LifecycleBinaries() {
		if !has(l.files, binary) {
			errs = append(errs, fmt.Errorf("missing %s", binary))
		}
	}
	for _, f := range l.files {
		if f.link != "" && !has(l.files, f.link) {
			errs = append(errs, fmt.Errorf("%s is a symbolic link to %s, which does not exist", f.base, f.link))
		}
	}
	for _, f := range l.files {
		if is := machines[f.machine]; is != "" && arch != "" && is != arch {
			errs = append(errs, fmt.Errorf("it is for linux/%s, but the builder is for linux/%s", is, arch))
			break // one is enough
		}
	}
	return errors.Join(errs...)
}

func has(files []lifecycleFile, base string) bool {
	return slices.ContainsFunc(files, func(f lifecycleFile) bool { return f.base == base })
}

// machines are the architectures of the lifecycle's releases.
var machines = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_PPC64: "ppc64le", elf.EM_S390: "s390x"}

// elfHead is the length of an ELF header up to e_machine.
const elfHead = 20

// machineIn returns the machine of an executable, by its first bytes, or 0 for scripts and the
// like.
func machineIn(head []byte) elf.Machine {
	if string(head[:4]) != elf.ELFMAG {
		return elf.EM_NONE
	}
	low, high := head[18], head[19]
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		low, high = high, low
	}
	return elf.Machine(uint16(high)<<8 | uint16(low))
}

// writeTo writes the lifecycle's layer.
func (l *lifecycle) writeTo(ctx context.Context, tw *tar.Writer) error {
	if _, _, err := l.copyTo(ctx, tw); err != nil {
		return fmt.Errorf("lifecycle %s: %w", l.name, err)
	}
	return nil
}
