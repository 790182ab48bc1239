package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"laminate/packager/filesys"
	"laminate/packager/localfile"
)

// maxLinks is how many symbolic links to the cache directory are followed.
const maxLinks = 40

// openLevels opens the format's directory in the cache directory, and creates both if necessary.
// Every directory on the path to it is checked: its owner must be root or this user, and no other
// user may be able to rename its entries. Symbolic links of such an owner are followed above the
// cache directory, and none at or below it.
func openLevels(dir string) (*os.Root, string, error) {
	above, err := checkAbove(filepath.Dir(dir))
	if err != nil {
		return nil, "", err
	}
	dir = filepath.Join(above, filepath.Base(dir))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("%s: %w", dir, localfile.Reason(err))
	}
	// Check again, now that missing directories were created.
	if _, err := checkAbove(filepath.Dir(dir)); err != nil {
		return nil, "", err
	}
	info, err := os.Lstat(dir)
	if err == nil {
		err = checkLevel(info, false)
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", dir, localfile.Reason(err))
	}
	outer, err := os.OpenRoot(dir)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", dir, localfile.Reason(err))
	}
	defer outer.Close()
	inner := filepath.Join(dir, format)
	root, err := openOwn(outer)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", inner, localfile.Reason(err))
	}
	for _, below := range []string{entries, path.Dir(blobs), blobs, trees, temps} {
		info, err := root.Lstat(below)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular() {
			continue // a file in place of a directory fails on use
		}
		if err == nil {
			err = checkLevel(info, true)
		}
		if err != nil {
			return nil, "", errors.Join(fmt.Errorf("%s: %w", filepath.Join(inner, below), localfile.Reason(err)), root.Close())
		}
	}
	return root, inner, nil
}

// openOwn opens the directory of the format, and creates it if necessary.
func openOwn(outer *os.Root) (*os.Root, error) {
	if err := outer.Mkdir(format, 0o700); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.EROFS) {
		return nil, err
	}
	info, err := outer.Lstat(format)
	if err != nil {
		return nil, err
	}
	if err := checkLevel(info, true); err != nil {
		return nil, err
	}
	root, err := outer.OpenRoot(format)
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	if err == nil && !os.SameFile(info, opened) {
		err = errors.New("directory was replaced while being opened")
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// checkAbove checks every existing directory on the path to dir, and returns the path without
// symbolic links. It follows links one by one, like the kernel: a .. after a link is the parent of
// the link's target.
//
// Paths with a volume are those of Windows, where owners are not known: what
// lies above is not checked.
func checkAbove(dir string) (string, error) {
	if filepath.VolumeName(dir) != "" {
		return dir, nil
	}
	at, rest, links := "", append([]string{""}, levelsOf(dir)...), 0
	for len(rest) > 0 {
		next := filepath.Join("/", at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !slices.Contains(rest, ".."):
			return filepath.Join(append([]string{next}, rest...)...), nil
		case err == nil && info.Mode()&fs.ModeSymlink != 0:
			var target string
			if target, err = readLink(next, info, links); err == nil {
				if filepath.IsAbs(target) {
					at = ""
				}
				rest, links = append(levelsOf(target), rest...), links+1
				continue
			}
		case err == nil:
			err = checkLevel(info, false)
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", next, localfile.Reason(err))
		}
		at = next
	}
	return at, nil
}

// levelsOf splits a path, and keeps its .. elements.
func levelsOf(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(name string) bool { return name == "" || name == "." })
}

// readLink reads a symbolic link, after links others.
func readLink(link string, info fs.FileInfo, links int) (string, error) {
	switch {
	case links == maxLinks:
		return "", errors.New("too many symbolic links")
	case !isTrusted(info):
		return "", errForeign
	}
	return os.Readlink(link)
}

// ErrNotOwn is the error for a cache directory that other users can write to or replace.
var ErrNotOwn = errors.New("accessible to other users")

// notOwn is the reason why other users can write to a directory or replace it.
type notOwn string

func (e notOwn) Error() string { return string(e) }

func (e notOwn) Is(target error) bool { return target == ErrNotOwn }

const errForeign = notOwn("owned by another user")

// checkLevel returns an error for a directory that other users can write to. With own, it also
// refuses root's directories.
func checkLevel(info fs.FileInfo, own bool) error {
	mode := info.Mode()
	owner, ok := filesys.OwnerOf(info)
	switch {
	case mode&fs.ModeSymlink != 0 && own:
		return errors.New("is a symbolic link; remove it")
	case mode&fs.ModeSymlink != 0:
		return errors.New("is a symbolic link; use the directory that it points to")
	case !mode.IsDir():
		return syscall.ENOTDIR
	case !ok:
		return nil
	case !isTrusted(info), own && owner.UID != os.Geteuid():
		return errForeign
	case mode&fs.ModeSticky != 0 && !own:
		return nil // sticky: users can rename only their own files
	case mode.Perm()&0o002 != 0:
		return notOwn("writable by all users")
	case mode.Perm()&0o020 != 0 && !isPrivateGroup(owner.GID):
		return notOwn("writable by its group")
	}
	return nil
}

// isTrusted reports whether a file belongs to this user, to root, or to the owner of the root
// directory, whose id differs in user namespaces. These users have access anyway.
func isTrusted(info fs.FileInfo) bool {
	owner, ok := filesys.OwnerOf(info)
	if !ok || owner.UID == 0 || owner.UID == os.Geteuid() {
		return true
	}
	top, err := os.Stat("/")
	if err != nil {
		return false
	}
	ofTop, ok := filesys.OwnerOf(top)
	return ok && ofTop.UID == owner.UID
}

// isPrivateGroup reports whether a group is root's or this user's own. On systems with a umask of
// 002, the user's group has no other members.
func isPrivateGroup(gid int) bool { return gid == 0 || gid == os.Getegid() }

// dropLinks removes symbolic links at a name and at the levels above it: the cache neither creates
// nor follows any.
func (c *Cache) dropLinks(name string) {
	for i := range len(name) + 1 {
		if i < len(name) && name[i] != '/' {
			continue
		}
		info, err := c.root.Lstat(name[:i])
		if err != nil {
			return
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			_ = c.root.Remove(name[:i])
			return
		}
	}
}
