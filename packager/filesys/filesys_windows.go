package filesys

import (
	"errors"
	"io/fs"
	"os"
)

// Windows has none of these flags. Between a check and the opening, a link or a pipe may take a
// file's place, so callers check the file again after opening it.
const (
	NoWait        = 0
	NoTerminal    = 0
	NoFollow      = 0
	OnlyDirectory = 0
)

// TryLock returns an error: directories cannot be locked on Windows. So runs that write to the same
// OCI layout do not wait for each other, and leftovers of killed runs are not removed.
func TryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }

// TryShare returns an error, as TryLock does.
func TryShare(*os.File) (bool, error) { return false, errors.ErrUnsupported }

// OwnerOf returns false: access lists are not read. The cache is assumed to be in a directory that
// only this user can write to, like the user's own directories, and blobs are copied instead of
// linked.
func OwnerOf(fs.FileInfo) (Owner, bool) { return Owner{}, false }

// SharedBy returns "": hard links are packaged as separate files.
func SharedBy(fs.FileInfo) string { return "" }

// Mode returns the mode of a file that is packaged. Windows does not know which files are
// executable, so all of them are.
func Mode(info fs.FileInfo) fs.FileMode {
	if info.Mode().IsRegular() {
		return info.Mode() | 0o111
	}
	return info.Mode()
}
