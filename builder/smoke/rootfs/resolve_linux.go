package rootfs

import (
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links are followed for one name, as Linux does.
const maxLinks = 40

// handle is an open directory of the tree (O_PATH).
type handle struct {
	fd  int
	ino uint64
}

var (
	errMissing = errors.New("parent directory is missing")
	errNotDir  = errors.New("parent is not a directory")
	errLoop    = errors.New("too many symbolic links in its parent directories")
)

// clean returns a path in the tree, without a leading slash: "" is the root. A .. component leads no
// higher than the root.
func clean(name string) string { return path.Clean("/" + name)[1:] }

// parent returns the directory of a clean path.
func parent(p string) string { return clean(path.Dir(p)) }

// dir opens the directory of a clean path, and creates what is missing of it if create is set. The
// handle is valid until flush.
func (w *writer) dir(p string, create bool) (*handle, error) {
	if p == "" {
		return w.root, nil
	}
	if h := w.open[p]; h != nil {
		return h, nil
	}
	up, err := w.dir(parent(p), create)
	if err != nil {
		return nil, err
	}
	links := 0
	h, err := w.step(up, path.Base(p), create, &links)
	if err != nil {
		return nil, err
	}
	w.open[p] = h
	return h, nil
}

// flush closes the directories that dir opened.
func (w *writer) flush() {
	for p, h := range w.open {
		h.close()
		delete(w.open, p)
	}
	w.stale = false
}

func (h *handle) close() { _ = unix.Close(h.fd) }

// step opens a directory in a directory, following symbolic links within the tree. The caller must
// close it.
func (w *writer) step(up *handle, name string, create bool, links *int) (*handle, error) {
	h, mode, err := openHandle(up, name)
	if errors.Is(err, unix.ENOENT) && create {
		// Another writer may create it first.
		if err = w.mkdir(up, name); err == nil {
			w.mark(up, name)
		}
		if err == nil || errors.Is(err, unix.EEXIST) {
			h, mode, err = openHandle(up, name)
		}
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, errMissing
	case err != nil:
		return nil, err
	case mode == unix.S_IFDIR:
		return h, nil
	}
	defer h.close()
	switch {
	case w.own != nil:
		return nil, errOrder
	case mode != unix.S_IFLNK:
		return nil, errNotDir
	case *links == maxLinks:
		return nil, errLoop
	}
	*links++
	buf := make([]byte, maxPath+1)
	n, err := unix.Readlinkat(h.fd, "", buf)
	if err != nil {
		return nil, err
	}
	return w.follow(up, string(buf[:n]), create, links)
}

// follow opens the directory that a symbolic link in a directory leads to.
func (w *writer) follow(from *handle, target string, create bool, links *int) (*handle, error) {
	if strings.HasPrefix(target, "/") {
		from = w.root
	}
	at, _, err := openHandle(from, ".")
	for name := range strings.SplitSeq(target, "/") {
		if err != nil {
			return nil, err
		}
		var next *handle
		switch {
		case name == "" || name == "." || name == ".." && at.ino == w.root.ino:
			continue
		case name == "..":
			next, _, err = openHandle(at, "..")
		default:
			next, err = w.step(at, name, create, links)
		}
		at.close()
		at = next
	}
	return at, err
}

// openHandle opens a file without following a link, and returns its type.
func openHandle(up *handle, name string) (*handle, uint32, error) {
	fd, err := unix.Openat(up.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, 0, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd) // it was not written to
		return nil, 0, err
	}
	return &handle{fd, st.Ino}, st.Mode & unix.S_IFMT, nil
}
