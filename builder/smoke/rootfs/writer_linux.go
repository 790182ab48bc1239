package rootfs

import (
	"archive/tar"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"laminate/flatten"
)

// writer writes one layer into a tree.
type writer struct {
	*tree
	own   *own                   // nil for a layer that is written in order
	above map[string]*tar.Header // entries of directories above its own, of which other layers have some too
	open  map[string]*handle     // directories by clean path
	stale bool                   // a handle in open may be that of a directory which was removed
	seed  maphash.Seed
	made  map[uint64]struct{} // what this layer made: hashes of directory and name
	buf   []byte
}

// openDirs is the number of directories that are kept open from entry to entry.
const openDirs = 64

func newWriter(t *tree, o *own) *writer {
	return &writer{
		tree: t, own: o, above: map[string]*tar.Header{}, open: map[string]*handle{},
		seed: maphash.MakeSeed(), made: map[uint64]struct{}{}, buf: make([]byte, chunk),
	}
}

// apply writes the entries of a layer.
func (w *writer) apply(tr *tar.Reader) error {
	for {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if w.entries.Add(1) > int64(w.limits.Entries) {
			return fmt.Errorf("root file system has more than %d entries", w.limits.Entries)
		}
		if err := w.entry(hdr, tr); err != nil {
			return fmt.Errorf("entry %q: %w", flatten.Clip(hdr.Name), err)
		}
	}
}

// entry writes an entry.
func (w *writer) entry(hdr *tar.Header, content io.Reader) error {
	if w.stale || len(w.open) > openDirs {
		w.flush()
	}
	p := clean(hdr.Name)
	base := path.Base(p)
	switch {
	case hdr.Typeflag == tar.TypeXGlobalHeader:
		return nil
	case len(hdr.Name) > maxPath:
		return fmt.Errorf("name has %d bytes, the limit is %d", len(hdr.Name), maxPath)
	case p == "" && hdr.Typeflag != tar.TypeDir:
		return errors.New("root is not a directory")
	case strings.HasPrefix(base, whiteout):
		return w.whiteout(parent(p), strings.TrimPrefix(base, whiteout))
	case w.own != nil && !w.own.inside(p):
		return w.outside(p, hdr)
	case p == "":
		return w.attributes(w.root, ".", hdr)
	}
	up, err := w.dir(parent(p), true)
	if err != nil {
		return err
	}
	if err := w.write(up, base, hdr, content); err != nil {
		return err
	}
	w.mark(up, base)
	return nil
}

// outside keeps the entry of a directory above the layer's own ones. No other entry is possible
// there.
func (w *writer) outside(p string, hdr *tar.Header) error {
	if hdr.Typeflag != tar.TypeDir || p != "" && !w.own.above[p] {
		return errOrder
	}
	w.above[p] = hdr
	_, err := w.dir(p, true)
	return err
}

func (w *writer) write(up *handle, name string, hdr *tar.Header, content io.Reader) error {
	switch hdr.Typeflag {
	case tar.TypeDir:
		return w.directory(up, name, hdr)
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return w.file(up, name, hdr, content)
	case tar.TypeSymlink:
		if err := w.replacing(up, name, func() error { return unix.Symlinkat(hdr.Linkname, up.fd, name) }); err != nil {
			return fmt.Errorf("symbolic link to %q: %w", flatten.Clip(hdr.Linkname), err)
		}
		return setTime(up, name, hdr)
	case tar.TypeLink:
		if err := w.link(up, name, clean(hdr.Linkname)); err != nil {
			return fmt.Errorf("hard link to %q: %w", flatten.Clip(hdr.Linkname), err)
		}
		return nil
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		w.skipped.Add(1)
		_, err := w.remove(up, name, false)
		return err
	}
	return fmt.Errorf("unsupported type %q", hdr.Typeflag)
}

// replacing creates something, after it has removed what is there.
func (w *writer) replacing(up *handle, name string, create func() error) error {
	err := create()
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if _, err := w.remove(up, name, false); err != nil {
		return err
	}
	return create()
}

// directory creates a directory, or changes the attributes of one that exists.
func (w *writer) directory(up *handle, name string, hdr *tar.Header) error {
	var st unix.Stat_t
	err := unix.Fstatat(up.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if err := w.replacing(up, name, func() error { return w.mkdir(up, name) }); err != nil {
			return err
		}
	}
	return w.attributes(up, name, hdr)
}

// attributes sets the mode of a directory, and its time for the end.
func (w *writer) attributes(up *handle, name string, hdr *tar.Header) error {
	var st unix.Stat_t
	if err := unix.Fstatat(up.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	w.setTime(st.Ino, timeOf(hdr))
	return unix.Fchmodat(up.fd, name, uint32(hdr.Mode)&0o1777|0o700, 0)
}

// file creates a file. It never writes to an existing one, which may have other names.
func (w *writer) file(up *handle, name string, hdr *tar.Header, content io.Reader) error {
	if w.bytes.Add(hdr.Size) > w.limits.Bytes {
		return fmt.Errorf("root file system exceeds the limit of %d bytes", w.limits.Bytes)
	}
	var fd int
	err := w.replacing(up, name, func() (err error) {
		fd, err = unix.Openat(up.fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	err = w.content(fd, content, isSparse(hdr))
	if err == nil {
		err = unix.Fchmod(fd, uint32(hdr.Mode)&0o777)
	}
	if closed := unix.Close(fd); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return setTime(up, name, hdr)
}

// content writes the content of a file. In a sparse one, it leaves out blocks of zeros.
func (w *writer) content(fd int, content io.Reader, sparse bool) error {
	var size int64
	for {
		n, err := content.Read(w.buf)
		size += int64(n)
		if sparse && isZero(w.buf[:n]) {
			_, failed := unix.Seek(fd, size, io.SeekStart)
			err = firstOf(failed, err)
		} else if failed := writeAll(fd, w.buf[:n]); failed != nil {
			return failed
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if sparse {
		return unix.Ftruncate(fd, size)
	}
	return nil
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		p = p[max(n, 0):]
	}
	return nil
}

// isSparse reports whether the size of a file may exceed that of its data in the tar.
func isSparse(hdr *tar.Header) bool {
	if hdr.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range hdr.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// link creates a hard link to a file of the tree. It has the attributes of that file.
func (w *writer) link(up *handle, name, target string) error {
	if w.own != nil && !w.own.inside(target) {
		return errOrder
	}
	from, err := w.dir(parent(target), false)
	if err != nil {
		return err
	}
	base := path.Base(target)
	if target == "" {
		base = "."
	}
	if from.ino == up.ino && base == name {
		var st unix.Stat_t
		return unix.Fstatat(up.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	return w.replacing(up, name, func() error { return unix.Linkat(from.fd, base, up.fd, name, 0) })
}

// setTime sets the time of a file or a symbolic link.
func setTime(up *handle, name string, hdr *tar.Header) error {
	time := timeOf(hdr)
	return unix.UtimesNanoAt(up.fd, name, []unix.Timespec{time, time}, unix.AT_SYMLINK_NOFOLLOW)
}

func timeOf(hdr *tar.Header) unix.Timespec {
	var t unix.Timespec
	t.Sec, t.Nsec = hdr.ModTime.Unix(), int64(hdr.ModTime.Nanosecond())
	return t
}
