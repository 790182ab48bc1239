package filesys

import (
	"errors"
	"io/fs"
	"os"
)

// Windows has none of these flags. What takes a file's place between a look and
// the opening may be a link or a pipe: those who open files look again.
const (
	NoWait        = 0
	NoTerminal    = 0
	NoFollow      = 0
	OnlyDirectory = 0
)

// TryLock returns an error: directories cannot be locked on Windows. So runs do
// not wait for each other where they write to one OCI layout, and what killed
// runs have left is not removed.
func TryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }

// OwnerOf returns false: access lists are not read. The cache is trusted to be
// in a directory that only this user can write to, as the user's own are, and
// blobs are copied where they might be linked.
func OwnerOf(fs.FileInfo) (Owner, bool) { return Owner{}, false }

// SharedBy returns "": hard links are packaged as files of their own.
func SharedBy(fs.FileInfo) string { return "" }

// Mode returns the mode of a file that is packaged. Windows does not know which
// files are executable, so that all of them are.
func Mode(info fs.FileInfo) fs.FileMode {
	if info.Mode().IsRegular() {
		return info.Mode() | 0o111
	}
	return info.Mode()
}
