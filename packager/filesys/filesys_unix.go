//go:build unix

package filesys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Flags of [os.OpenFile].
const (
	// NoWait keeps a named pipe without a writer from blocking.
	NoWait = syscall.O_NONBLOCK
	// NoTerminal keeps a terminal from becoming the controlling terminal of the process.
	NoTerminal = syscall.O_NOCTTY
	// NoFollow refuses a symbolic link.
	NoFollow = syscall.O_NOFOLLOW
	// OnlyDirectory refuses anything but a directory.
	OnlyDirectory = syscall.O_DIRECTORY
)

// TryLock locks an open file or directory until it is closed. It reports whether it has the lock;
// if not, another process has it. An error means that locks are not available.
func TryLock(f *os.File) (bool, error) { return tryLock(f, syscall.LOCK_EX) }

// TryShare is [TryLock] for a lock that other processes may share, and that excludes TryLock.
func TryShare(f *os.File) (bool, error) { return tryLock(f, syscall.LOCK_SH) }

func tryLock(f *os.File, how int) (bool, error) {
	for {
		switch err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}

// OwnerOf returns the owner of a file, and false if it is unknown.
func OwnerOf(info fs.FileInfo) (Owner, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Owner{}, false
	}
	return Owner{int(stat.Uid), int(stat.Gid)}, true
}

// SharedBy returns a key that is equal for all names of a file, or "" if the file has only one
// name.
func SharedBy(info fs.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		return fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
	}
	return ""
}

// Mode returns the mode of a file that is packaged.
func Mode(info fs.FileInfo) fs.FileMode { return info.Mode() }
