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

// lifecycle is a lifecycle that was opened: its descriptor, and what is known
// of its files. They stay where they are.
type lifecycle struct {
	descriptor
	name   string
	open   layer.Opener
	files  []lifecycleFile
	diffID v1.Hash // of the layer that writeTo writes
}

type lifecycleFile struct {
	base    string
	link    string      // of a symbolic link
	machine elf.Machine // of an executable
}

// lifecycleBinaries are what every lifecycle must have.
var lifecycleBinaries = []string{"analyzer", "builder", "creator", "detector", "exporter", "launcher", "restorer"}

const (
	lifecycleDir = "/cnb/lifecycle"
	// lifecycleTOMLLimit bounds lifecycle.toml, which is held in memory.
	lifecycleTOMLLimit = 1 << 20
)

// openLifecycle reads a lifecycle out of the last of the tars that has one.
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
	return nil, errors.New("it has no lifecycle.toml")
}

// readLifecycle reads one tar, an archive of the lifecycle or a layer that was
// made of one; it gives nil where that has no lifecycle.toml.
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

// isOfLifecycle reports whether an archive's entry is one of a lifecycle's.
func isOfLifecycle(name string) bool {
	dir, base := splitLifecycle(name)
	return dir == "/" && base == "lifecycle.toml" || dir == "/lifecycle/"
}

// splitLifecycle returns directory and name of an entry. An image has below /cnb
// what an archive has at its root.
func splitLifecycle(name string) (dir, base string) {
	return path.Split(strings.TrimPrefix(path.Clean("/"+name), "/cnb"))
}

// copyTo writes the layer: the files of the archive's directory lifecycle, with
// the headers that they have there, and the link that older platforms know it
// by. It gives lifecycle.toml, nil where there is none, and tells of the files.
func (l *lifecycle) copyTo(ctx context.Context, tw *tar.Writer) (toml []byte, files []lifecycleFile, err error) {
	r, err := l.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := tw.WriteHeader(directory(lifecycleDir)); err != nil {
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
		case layer.IsSparse(h) && isOfLifecycle(h.Name): // a few bytes may claim to be exabytes
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
	if _, err := io.Copy(io.Discard, r); err != nil { // for the checks at its end
		return nil, nil, err
	}
	return toml, files, tw.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "/lifecycle", Linkname: lifecycleDir, Mode: 0o644, ModTime: layer.Epoch})
}

// copyFile takes a file of the lifecycle in.
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
	header.Name = lifecycleDir + "/" + base
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

// check reports what is missing, and a lifecycle that is for another machine.
func (l *lifecycle) check(arch string) error {
	var errs []error
	for _, binary := range lifecycleBinaries {
		if !has(l.files, binary) {
			errs = append(errs, fmt.Errorf("it has no %s", binary))
		}
	}
	for _, f := range l.files {
		if f.link != "" && !has(l.files, f.link) {
			errs = append(errs, fmt.Errorf("%s is a symbolic link to %s, which is not there", f.base, f.link))
		}
	}
	for _, f := range l.files {
		if is := machines[f.machine]; is != "" && arch != "" && is != arch {
			errs = append(errs, fmt.Errorf("it is for linux/%s, and the builder for linux/%s", is, arch))
			break // one tells for all
		}
	}
	return errors.Join(errs...)
}

func has(files []lifecycleFile, base string) bool {
	return slices.ContainsFunc(files, func(f lifecycleFile) bool { return f.base == base })
}

// machines are the architectures of the lifecycle's releases.
var machines = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_PPC64: "ppc64le", elf.EM_S390: "s390x"}

// elfHead is the length of an ELF file up to e_machine.
const elfHead = 20

// machineIn reads the beginning of a file. A script, for one, is for none.
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

// supports reports whether the lifecycle speaks the Buildpack API of a module,
// and whether that is deprecated.
func (l *lifecycle) supports(m flatten.Module) (ok, deprecated bool) {
	deprecated = slices.Contains(l.APIs.Buildpack.Deprecated, m.API)
	return deprecated || slices.Contains(l.APIs.Buildpack.Supported, m.API), deprecated
}

// hasPlatform reports whether the lifecycle speaks a Platform API of at least
// this version.
func (l *lifecycle) hasPlatform(version string) bool {
	return slices.ContainsFunc(slices.Concat(l.APIs.Platform.Deprecated, l.APIs.Platform.Supported), func(v string) bool {
		return compareAPIs(v, version) >= 0
	})
}

// writeTo writes the lifecycle's layer.
func (l *lifecycle) writeTo(ctx context.Context, tw *tar.Writer) error {
	if _, _, err := l.copyTo(ctx, tw); err != nil {
		return fmt.Errorf("lifecycle %s: %w", l.name, err)
	}
	return nil
}
