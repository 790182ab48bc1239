package rootfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"

	"golang.org/x/sys/unix"
)

// Whiteouts of the OCI image specification.
const (
	whiteout = ".wh."     // and the name of what is hidden
	reserved = ".wh."     // a whiteout of such a name is one of AUFS, for itself
	opaque   = ".wh..opq" // after the prefix
)

// whiteout removes what lower layers have at a name in a directory, or everything that they have in
// it.
func (w *writer) whiteout(dir, name string) error {
	switch name {
	case "", ".", "..":
		return fmt.Errorf("invalid whiteout of %q", name)
	}
	hidden := clean(dir + "/" + name)
	switch {
	case name == opaque:
		hidden = dir
	case strings.HasPrefix(name, reserved):
		return nil
	}
	if w.own != nil && !w.own.inside(hidden) {
		return errOrder
	}
	up, err := w.dir(dir, false)
	if errors.Is(err, errMissing) || errors.Is(err, errNotDir) {
		return nil // there is nothing to hide
	}
	if err != nil {
		return err
	}
	if name != opaque {
		_, err = w.remove(up, name, true)
		return err
	}
	return eachName(up.fd, ".", func(_ int, child string) error {
		_, err := w.remove(up, child, true)
		return err
	})
}

// mark records that this layer has made what is at a name in a directory.
func (w *writer) mark(up *handle, name string) { w.made[w.hash(up.ino, name)] = struct{}{} }

func (w *writer) hash(dir uint64, name string) uint64 {
	var h maphash.Hash
	h.SetSeed(w.seed)
	_, _ = h.Write(binary.NativeEndian.AppendUint64(nil, dir)) // it returns no error
	_, _ = h.WriteString(name)
	return h.Sum64()
}

// remove removes what is at a name in a directory. With lower, it leaves what this layer has made,
// and the directories that hold it, and reports whether there is any.
func (w *writer) remove(up *handle, name string, lower bool) (kept bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstatat(up.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return false, nil
		}
		return false, err
	}
	_, made := w.made[w.hash(up.ino, name)]
	kept = lower && made
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if kept {
			return true, nil
		}
		w.stale = w.stale || st.Mode&unix.S_IFMT == unix.S_IFLNK
		return false, unix.Unlinkat(up.fd, name, 0)
	}
	err = eachName(up.fd, name, func(dir int, child string) error {
		left, err := w.remove(&handle{dir, st.Ino}, child, lower)
		kept = kept || left
		return err
	})
	if err != nil || kept {
		return kept, err
	}
	w.stale = true
	w.forget(st.Ino)
	return false, unix.Unlinkat(up.fd, name, unix.AT_REMOVEDIR)
}
