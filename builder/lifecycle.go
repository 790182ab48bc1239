package builder

import (
	"archive/tar"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// lifecycle is a lifecycle that was opened: its descriptor, and its files in a
// spool.
type lifecycle struct {
	descriptor
	name  string
	files []lifecycleFile
	spool *layer.Spool
}

type lifecycleFile struct {
	header *tar.Header // as the archive has it, but for the name
	at     layer.Stretch
}

func (f lifecycleFile) base() string { return path.Base(f.header.Name) }

// lifecycleBinaries are what every lifecycle must have.
var lifecycleBinaries = []string{"analyzer", "builder", "creator", "detector", "exporter", "launcher", "restorer"}

const (
	lifecycleDir = "/cnb/lifecycle"
	// lifecycleTOMLLimit bounds lifecycle.toml, which is held in memory.
	lifecycleTOMLLimit = 1 << 20
)

// openLifecycle reads a lifecycle out of the last of the tars that has one.
// Its content is spooled in workDir.
func openLifecycle(ctx context.Context, name string, tars []layer.Opener, arch, workDir string) (*lifecycle, error) {
	for _, open := range slices.Backward(tars) {
		l, err := readLifecycle(ctx, name, open, workDir)
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
func readLifecycle(ctx context.Context, name string, open layer.Opener, workDir string) (_ *lifecycle, err error) {
	r, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	l := &lifecycle{name: name}
	if l.spool, err = layer.NewSpool(workDir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.spool.Close()) }()
	toml, err := l.read(tar.NewReader(r))
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // for the checks at its end
		return nil, err
	}
	if toml == nil {
		return nil, nil
	}
	return l, l.describe(toml)
}

// read takes in lifecycle.toml and the files of the directory lifecycle beside
// it. An image has both below /cnb, perhaps among much else.
func (l *lifecycle) read(tr *tar.Reader) (toml []byte, err error) {
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return toml, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading tar: %w", err)
		}
		dir, base := path.Split(strings.TrimPrefix(path.Clean("/"+h.Name), "/cnb"))
		switch {
		case dir == "/" && base == "lifecycle.toml":
			if toml, err = io.ReadAll(io.LimitReader(tr, lifecycleTOMLLimit)); err != nil {
				return nil, fmt.Errorf("lifecycle.toml: %w", err)
			}
		case dir == "/lifecycle/":
			if err := l.keep(h, base, tr); err != nil {
				return nil, err
			}
		}
	}
}

// keep takes a file of the lifecycle in.
func (l *lifecycle) keep(h *tar.Header, base string, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeSymlink:
		if strings.Contains(h.Linkname, "/") {
			return fmt.Errorf("%s is a symbolic link out of its directory, to %s", h.Name, h.Linkname)
		}
	case tar.TypeDir:
		return nil
	default:
		return fmt.Errorf("%s is neither a file, a directory nor a link", h.Name)
	}
	if slices.ContainsFunc(l.files, func(f lifecycleFile) bool { return f.base() == base }) {
		return fmt.Errorf("%s is there twice", h.Name)
	}
	if _, err := io.Copy(l.spool, content); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	at, err := l.spool.End()
	header := *h
	header.Name = lifecycleDir + "/" + base
	l.files = append(l.files, lifecycleFile{header: &header, at: at})
	return err
}

// check reports what is missing, and a lifecycle that is for another machine.
func (l *lifecycle) check(arch string) error {
	var errs []error
	for _, binary := range lifecycleBinaries {
		if !l.has(binary) {
			errs = append(errs, fmt.Errorf("it has no %s", binary))
		}
	}
	for _, f := range l.files {
		if to := f.header.Linkname; to != "" && !l.has(to) {
			errs = append(errs, fmt.Errorf("%s is a symbolic link to %s, which is not there", f.base(), to))
		}
	}
	for _, f := range l.files {
		if err := l.checkMachine(f, arch); err != nil {
			errs = append(errs, err)
			break // one tells for all
		}
	}
	return errors.Join(errs...)
}

func (l *lifecycle) has(base string) bool {
	return slices.ContainsFunc(l.files, func(f lifecycleFile) bool { return f.base() == base })
}

// machines are the architectures of the lifecycle's releases.
var machines = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_PPC64: "ppc64le", elf.EM_S390: "s390x"}

func (l *lifecycle) checkMachine(f lifecycleFile, arch string) error {
	r, err := l.spool.Open(f.at)
	if err != nil {
		return err
	}
	defer r.Close()
	var head [20]byte // of an ELF file, up to e_machine
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:4]) != elf.ELFMAG {
		return nil // a script, perhaps
	}
	low, high := head[18], head[19]
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		low, high = high, low
	}
	is := machines[elf.Machine(uint16(high)<<8|uint16(low))]
	if is != "" && arch != "" && is != arch {
		return fmt.Errorf("it is for linux/%s, and the builder for linux/%s", is, arch)
	}
	return nil
}

// supports tells whether the lifecycle speaks the Buildpack API of a module,
// and whether that is deprecated.
func (l *lifecycle) supports(m flatten.Module) (ok, deprecated bool) {
	deprecated = slices.Contains(l.APIs.Buildpack.Deprecated, m.API)
	return deprecated || slices.Contains(l.APIs.Buildpack.Supported, m.API), deprecated
}

// hasPlatform tells whether the lifecycle speaks a Platform API of at least
// this version.
func (l *lifecycle) hasPlatform(version string) bool {
	return slices.ContainsFunc(slices.Concat(l.APIs.Platform.Deprecated, l.APIs.Platform.Supported), func(v string) bool {
		return compareAPIs(v, version) >= 0
	})
}

// writeTo writes the lifecycle's layer: its files with the headers that the
// archive has, and the link that older platforms know it by.
func (l *lifecycle) writeTo(ctx context.Context, tw *tar.Writer) error {
	if err := tw.WriteHeader(directory(lifecycleDir)); err != nil {
		return err
	}
	for _, f := range l.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.writeFile(tw, f); err != nil {
			return fmt.Errorf("lifecycle %s: %s: %w", l.name, f.header.Name, err)
		}
	}
	return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "/lifecycle", Linkname: lifecycleDir, Mode: 0o644, ModTime: layer.Epoch})
}

func (l *lifecycle) writeFile(tw *tar.Writer, f lifecycleFile) error {
	if err := tw.WriteHeader(f.header); err != nil {
		return err
	}
	r, err := l.spool.Open(f.at)
	if err != nil {
		return err
	}
	_, err = io.Copy(tw, r)
	return errors.Join(err, r.Close())
}
