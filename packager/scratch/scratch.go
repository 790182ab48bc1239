// Package scratch creates directories for unfinished work, and removes those that killed processes
// have left behind.
//
// A scratch directory is named .laminate-<26 characters>.tmp. Its process holds a lock (flock) on
// it, which the kernel releases when the process ends. So a directory whose lock is free is
// abandoned; neither its age nor a process id matters.
//
// Between creation and locking, another process may consider a directory abandoned. So [Make], once
// it holds the lock, checks that the directory still exists, and creates another one if not.
// Sweeping removes only locked directories.
//
// [Claim] makes the scratch directory of one name, so that processes that claim
// the same name wait for each other and for no one else.
//
// On a network file system, locks may be local to one machine. Directories there have the suffix
// .unlocked.tmp, and are never swept.
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

// Prefix is the prefix of names of scratch directories.
const Prefix = ".laminate-"

const (
	locked   = ".tmp"
	unlocked = ".unlocked.tmp"
	// attempts is how often a directory is created again because another process swept it before it
	// was locked.
	attempts = 100
)

// abandonable matches names of directories that may be swept.
var abandonable = regexp.MustCompile(`^\.laminate-[A-Z2-7]{26}\.tmp$`)

// ours matches names of all scratch directories.
var ours = regexp.MustCompile(`^\.laminate-[A-Z2-7]{26}(\.unlocked)?\.tmp$`)

// Is reports whether a name is one of a scratch directory.
func Is(name string) bool { return ours.MatchString(name) }

// Swept reports whether other processes remove a scratch directory of this name once its own has
// ended.
func Swept(name string) bool { return abandonable.MatchString(name) }

// A Place is a directory for scratch directories. [os.Root] and [At] implement it.
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

// A Dir is a scratch directory that this process has locked.
type Dir struct {
	// Name is its name in its place.
	Name string

	in   Place
	lock *os.File
}

// Make creates a scratch directory with mode 0700. The caller must remove it.
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

// Claim creates the empty scratch directory for key, or takes over an abandoned one. It returns nil
// if another process holds it. On a network file system, or without locks, it excludes at most
// processes of this machine.
func Claim(in Place, key string) (*Dir, error) {
	sum := sha256.Sum256([]byte(key))
	name := Prefix + base32.StdEncoding.EncodeToString(sum[:])[:26] + locked
	made := in.Mkdir(name, 0o755)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return nil, made
	}
	f, err := in.OpenFile(name, asDirectory, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // just removed by its process
	}
	if err != nil {
		return nil, err
	}
	if made == nil {
		_ = f.Chmod(0o755) // whatever the umask is: other users open it to wait for it
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

// Path returns the path of a directory whose place is an [At].
func (d *Dir) Path() string {
	at, _ := d.in.(At)
	return filepath.Join(string(at), d.Name)
}

// Remove removes the directory with everything in it, and then releases its lock.
func (d *Dir) Remove() error {
	return errors.Join(d.in.RemoveAll(d.Name), closed(d.lock))
}

func closed(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// state is the result of acquiring a directory.
type state int

const (
	held   state = iota // this process has locked it
	taken               // another process has locked it, removed it, or replaced it
	unsure              // locks are unreliable there
)

// asDirectory are flags to open a directory only: its replacement may be a named pipe, which
// blocks, or a link.
const asDirectory = os.O_RDONLY | filesys.OnlyDirectory | filesys.NoFollow | filesys.NoWait

// acquire locks a directory, unless another process holds it. The returned file, which may be nil,
// holds the lock until it is closed.
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

// isStill reports whether a name still refers to an open directory.
func isStill(in Place, name string, f *os.File) bool {
	now, errNow := in.Lstat(name)
	then, errThen := f.Stat()
	return errNow == nil && errThen == nil && os.SameFile(now, then)
}

// Sweep removes abandoned scratch directories of this user from a directory, and returns their
// number and size in bytes. It ignores errors.
func Sweep(dir string) (n int, bytes int64) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, 0
	}
	defer root.Close()
	return SweepRoot(root)
}

// SweepRoot is [Sweep] for an open directory.
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

// abandoned lists directories of this user that may be abandoned.
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
