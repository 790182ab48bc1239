package ownership

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/BurntSushi/toml"
	"golang.org/x/sys/unix"
)

const (
	groupFile = "group.toml"
	maxGroup  = 1 << 20 // bytes of it
)

// Group returns the names of the directories of the detected buildpacks, in their order, as the lifecycle
// has written them to group.toml. It makes those that are missing as the lifecycle will before their turns,
// and those of the lifecycle itself. Programs of the build may have put anything there: no link is followed.
func (t *Turns) Group() ([]string, error) {
	text, err := t.reading.file(groupFile)
	if err != nil {
		return nil, fmt.Errorf("layers: %s: %w", groupFile, err)
	}
	var file struct {
		Group []struct {
			ID string `toml:"id"`
		} `toml:"group"`
	}
	if _, err := toml.Decode(text, &file); err != nil {
		return nil, fmt.Errorf("layers: %s: %w", groupFile, err)
	}
	if len(file.Group) == 0 {
		return nil, fmt.Errorf("layers: %s names no buildpacks", groupFile)
	}
	var names []string
	for _, b := range file.Group {
		name := directory(b.ID)
		if name == "" || name == "." || name == ".." || lifecycleDir(name) {
			return nil, fmt.Errorf("layers: %s: invalid id %q", groupFile, b.ID)
		}
		names = append(names, name)
	}
	for _, name := range append(LifecycleDirs(), names...) {
		if err := t.reading.make(name); err != nil {
			return nil, fmt.Errorf("layers: making the directory %q: %w", name, err)
		}
	}
	return names, nil
}

// file reads a small file in the directory.
func (r *reading) file(name string) (string, error) {
	fd, err := unix.Openat2(int(r.dir.Fd()), name, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxGroup {
		return "", errors.New("it is not a regular file of at most 1 MiB")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxGroup))
	return string(text), err
}

// make makes a directory, or finds one.
func (r *reading) make(name string) error {
	err := unix.Mkdirat(int(r.dir.Fd()), name, 0o755)
	made := err == nil
	if err != nil && err != unix.EEXIST {
		return err
	}
	fd, err := unix.Openat(int(r.dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !made {
		return nil
	}
	return unix.Fchmod(fd, 0o755) // whatever the caller's umask is
}
