package ownership

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

const (
	maxFiles = 1 << 20 // that are looked at
	maxDepth = 500     // of directories: each takes a descriptor meanwhile
	maxRead  = 1 << 30 // bytes of files that are read, in one build
	buffered = 256 << 10
)

// facts are what a look sees of a file, without reading it.
type facts struct {
	ino          uint64
	mode         uint32
	links        uint64
	size         int64
	mtime, ctime int64 // in ns
}

// node is a file or directory in one look.
type node struct {
	facts
	target   string // of a symbolic link
	children map[string]*node
	hash     uint64 // of the content, if hashed
	hashed   bool
}

func (n *node) isDir() bool     { return n.mode&unix.S_IFMT == unix.S_IFDIR }
func (n *node) isRegular() bool { return n.mode&unix.S_IFMT == unix.S_IFREG }

// reading looks at a directory that programs write to that are not trusted.
type reading struct {
	dir    *os.File
	seed   maphash.Seed
	buffer []byte
	files  int   // of the current look
	left   int64 // bytes that may still be read
}

func open(dir string) (*reading, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return &reading{dir: f, seed: maphash.MakeSeed(), buffer: make([]byte, buffered), left: maxRead}, nil
}

func (r *reading) close() { r.dir.Close() }

// look returns what is in the directory. What was read of files that are as they were in the look
// before, which may be nil, is kept.
func (r *reading) look(before *node) (*node, error) {
	r.files = 0
	n := &node{facts: facts{mode: unix.S_IFDIR}}
	return n, r.walk(int(r.dir.Fd()), ".", n, before, 0)
}

// walk fills a directory's children. What vanishes meanwhile, or cannot be read, is left out.
func (r *reading) walk(parent int, name string, n, before *node, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("layers: directories are more than %d deep, the limit", maxDepth)
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return fmt.Errorf("layers: %w", err)
	}
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	if r.files += len(names); r.files > maxFiles {
		return fmt.Errorf("layers: more than %d files, the limit", maxFiles)
	}
	n.children = make(map[string]*node, len(names))
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		child := &node{facts: factsOf(&st)}
		var was *node
		if before != nil {
			was = before.children[name]
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			if err := r.walk(fd, name, child, was, depth+1); err != nil {
				return err
			}
		case unix.S_IFLNK:
			child.target = readLink(fd, name)
		case unix.S_IFREG:
			if was != nil && was.facts == child.facts {
				child.hash, child.hashed = was.hash, was.hashed
			}
		}
		n.children[name] = child
	}
	return nil
}

func factsOf(st *unix.Stat_t) facts {
	return facts{
		ino: st.Ino, mode: st.Mode, links: uint64(st.Nlink), size: st.Size,
		mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
	}
}

func readLink(dir int, name string) string {
	var target [unix.PathMax]byte
	n, err := unix.Readlinkat(dir, name, target[:])
	if err != nil {
		return ""
	}
	return string(target[:n])
}

// read reads the files of a directory that were not read yet. at is its path below the layers.
func (r *reading) read(at string, n *node) {
	for name, child := range n.children {
		switch {
		case child.isDir():
			r.read(path.Join(at, name), child)
		case child.isRegular() && !child.hashed:
			child.hash, child.hashed = r.hash(path.Join(at, name), child)
		}
	}
}

// same reports whether a file has the content that it had. It is false for one that was not read.
func (r *reading) same(at string, was, is *node) bool {
	if !was.hashed {
		return false
	}
	if !is.hashed {
		is.hash, is.hashed = r.hash(at, is)
	}
	return is.hashed && was.hash == is.hash
}

// hash reads a file, if it is still the one of the look.
func (r *reading) hash(at string, n *node) (uint64, bool) {
	if n.size > r.left {
		return 0, false
	}
	fd, err := unix.Openat2(int(r.dir.Fd()), at, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return 0, false
	}
	f := os.NewFile(uintptr(fd), at)
	defer f.Close()
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || factsOf(&st) != n.facts {
		return 0, false
	}
	var h maphash.Hash
	h.SetSeed(r.seed)
	read, err := io.CopyBuffer(struct{ io.Writer }{&h}, io.LimitReader(f, n.size), r.buffer)
	r.left -= read
	return h.Sum64(), err == nil
}
