// Package scratch makes directories for unfinished work, and removes those
// whose process has ended without removing its own.
//
// A scratch directory is called .laminate-<26 characters>.tmp. The process that
// made it holds a lock (flock) on it, which the kernel releases when the process
// ends, however it ends. So a directory whose lock can be taken is abandoned: no
// age and no process number has to be trusted.
//
// Between making a directory and locking it another process may take it for
// abandoned. So [Make] looks, once it holds the lock, whether the directory is
// still there, and makes another one where it is not. The process that sweeps
// removes only what it has locked.
//
// [Claim] makes the scratch directory of one name, so that processes that claim
// the same name wait for each other and for no one else.
//
// On a network file system a lock may be seen on one machine only. Directories
// there have the suffix .unlocked.tmp, and are never swept.
package scratch

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"laminate/packager/filesys"
)

// Prefix is what the names of scratch directories begin with.
const Prefix = ".laminate-"

const (
	locked   = ".tmp"
	unlocked = ".unlocked.tmp"
	// attempts bounds how often a directory is made anew because another
	// process swept it before it was locked.
	attempts = 100
)

// abandonable are the names of the directories that may be swept.
var abandonable = regexp.MustCompile(`^\.laminate-[A-Z2-7]{26}\.tmp$`)

// ours are the names of all scratch directories.
var ours = regexp.MustCompile(`^\.laminate-[A-Z2-7]{26}(\.unlocked)?\.tmp$`)

// Is reports whether a file of this name is a scratch directory.
func Is(name string) bool { return ours.MatchString(name) }

// Swept reports whether a scratch directory of this name is removed by other
// processes once its own has ended.
func Swept(name string) bool { return abandonable.MatchString(name) }

// A Place is a directory in which scratch directories are made. An [os.Root] is
// one, and so is an [At].
type Place interface {
	Mkdir(name string, perm fs.FileMode) error
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	Lstat(name string) (fs.FileInfo, error)
	RemoveAll(name string) error
}

// At is a directory by its path.
type At string

// Mkdir implements Place.
func (d At) Mkdir(name string, perm fs.FileMode) error {
	return os.Mkdir(filepath.Join(string(d), name), perm)
}

// OpenFile implements Place.
func (d At) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(filepath.Join(string(d), name), flag, perm)
}

// Lstat implements Place.
func (d At) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(filepath.Join(string(d), name)) }

// RemoveAll implements Place.
func (d At) RemoveAll(name string) error { return os.RemoveAll(filepath.Join(string(d), name)) }

// A Dir is a scratch directory that this process holds.
type Dir struct {
	// Name is its name in its place.
	Name string

	in   Place
	lock *os.File
}

// Make makes a scratch directory, for this user only, which the caller removes.
func Make(in Place) (*Dir, error) {
	suffix := locked
	for range attempts {
		name := Prefix + rand.Text() + suffix
		if err := in.Mkdir(name, 0o700); err != nil {
			return nil, err
		}
		lock, state := acquire(in, name)
		switch {
		case state == held || suffix == unlocked:
			return &Dir{Name: name, in: in, lock: lock}, nil
		case state == unsure:
			suffix = unlocked
		}
		if err := errors.Join(closed(lock), in.RemoveAll(name)); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("other processes repeatedly removed the directory")
}

// Claim makes the empty scratch directory that belongs to key, or takes over that
// of a process that has ended. It returns nil where another process holds it. On a
// network file system, and where there are no locks, it holds against processes
// of this machine at most.
func Claim(in Place, key string) (*Dir, error) {
	sum := sha256.Sum256([]byte(key))
	name := Prefix + base32.StdEncoding.EncodeToString(sum[:])[:26] + locked
	// Other users may have to wait for it as well, for which they open it.
	if err := in.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	f, err := in.OpenFile(name, asDirectory, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // its process has just removed it
	}
	if err != nil {
		return nil, err
	}
	state := lock(f)
	if state == taken || !isStill(in, name, f) {
		return nil, f.Close()
	}
	if state == unsure {
		return &Dir{Name: name, in: in}, f.Close()
	}
	return &Dir{Name: name, in: in, lock: f}, nil
}

// Path is the path of a directory whose place is an [At].
func (d *Dir) Path() string {
	at, _ := d.in.(At)
	return filepath.Join(string(at), d.Name)
}

// Remove removes the directory with everything in it, and then gives up its lock.
func (d *Dir) Remove() error {
	return errors.Join(d.in.RemoveAll(d.Name), closed(d.lock))
}

func closed(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// state is what is known of a directory.
type state int

const (
	held   state = iota // this process has locked it
	taken               // another process has locked it, removed it, or replaced it
	unsure              // no lock there can be relied on
)

// asDirectory opens a directory and nothing else: what has taken its place may be
// a named pipe, which blocks whoever opens it, or lead elsewhere.
const asDirectory = os.O_RDONLY | filesys.OnlyDirectory | filesys.NoFollow | filesys.NoWait

// acquire locks a directory, unless another process holds it. The file, which
// may be nil, holds the lock until it is closed.
func acquire(in Place, name string) (*os.File, state) {
	f, err := in.OpenFile(name, asDirectory, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP):
		return nil, taken
	case err != nil:
		return nil, unsure
	}
	state := unsure
	if !isNetwork(f) {
		state = lock(f)
	}
	if state == unsure {
		_ = f.Close() // it holds nothing
		return nil, unsure
	}
	if state == held && !isStill(in, name, f) {
		state = taken
	}
	return f, state
}

// lock locks an open directory, unless another process holds it.
func lock(f *os.File) state {
	switch locked, err := filesys.TryLock(f); {
	case err != nil:
		return unsure
	case locked:
		return held
	}
	return taken
}

// isStill reports whether a name is still that of an open directory.
func isStill(in Place, name string, f *os.File) bool {
	now, errNow := in.Lstat(name)
	then, errThen := f.Stat()
	return errNow == nil && errThen == nil && os.SameFile(now, then)
}

// Sweep removes from a directory the scratch directories of this user whose
// process has ended, and returns how many they were and how many bytes they held.
// What cannot be removed stays.
func Sweep(dir string) (n int, bytes int64) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, 0
	}
	defer root.Close()
	return SweepRoot(root)
}

// SweepRoot is [Sweep] for a directory that is open.
func SweepRoot(root *os.Root) (n int, bytes int64) {
	for _, name := range abandoned(root) {
		lock, state := acquire(root, name)
		if state == held {
			size := sizeBelow(root, name)
			if root.RemoveAll(name) == nil {
				n, bytes = n+1, bytes+size
			}
		}
		_ = closed(lock)
	}
	return n, bytes
}

// abandoned lists what may be an abandoned directory of this user.
func abandoned(root *os.Root) (names []string) {
	dir, err := root.Open(".")
	if err != nil {
		return nil
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(1000)
		for _, e := range entries {
			if !abandonable.MatchString(e.Name()) || !e.IsDir() {
				continue
			}
			info, err := root.Lstat(e.Name())
			if err == nil && info.IsDir() && isOwn(info) {
				names = append(names, e.Name())
			}
		}
		if err != nil {
			return names
		}
	}
}

func isOwn(info fs.FileInfo) bool {
	owner, ok := filesys.OwnerOf(info)
	return ok && owner.UID == os.Geteuid()
}

func sizeBelow(root *os.Root, name string) (bytes int64) {
	_ = fs.WalkDir(root.FS(), name, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil
	})
	return bytes
}
