package sandbox

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// access is what the supervisor has made read-only: a directory, whose parts are mounts of their own.
type access struct {
	dir   string
	parts map[string]*part
	pause func() (heard bool) // waits a moment, in which processes can end
}

// part is a mount.
type part struct {
	path     string
	fd       int
	writable bool
}

// change does what an access says. All changes before an error stay.
func (a *access) change(to Access) error {
	if a.parts == nil {
		if err := a.divide(to); err != nil {
			return err
		}
	}
	if to.Dir != a.dir {
		return step("changing the access to "+to.Dir, errors.New("another directory has one already"))
	}
	for name, p := range a.parts {
		if p.writable && !slices.Contains(to.Writable, name) {
			if err := p.close(a.pause); err != nil {
				return err
			}
		}
	}
	for _, name := range to.Writable {
		p := a.parts[name]
		if p == nil {
			return step("changing the access to "+path.Join(to.Dir, name), errors.New("it is not one of the parts"))
		}
		if err := p.open(); err != nil {
			return step("making "+p.path+" writable", err)
		}
	}
	return nil
}

// divide mounts each part over itself, read-only, and makes the directory read-only. What a part's name
// leads to is looked up once, beneath the directory and without links.
func (a *access) divide(to Access) error {
	a.dir, a.parts = to.Dir, map[string]*part{}
	dir, err := unix.Open(to.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return step("opening "+to.Dir, err)
	}
	for _, name := range to.Parts {
		if name != path.Base(name) || name == "." || name == ".." || name == "/" {
			return step("mounting a part of "+to.Dir+" over itself", fmt.Errorf("invalid name %q", name))
		}
		if a.parts[name] != nil {
			continue
		}
		p := &part{path: path.Join(to.Dir, name)}
		if p.fd, err = mountOver(dir, name); err != nil {
			return step("mounting "+p.path+" over itself", err)
		}
		a.parts[name] = p
	}
	return (&part{path: to.Dir, fd: dir, writable: true}).close(a.pause)
}

// mountOver mounts a directory over itself, read-only, and returns a descriptor of the mount. A copy of the
// mount that is put there, as at the start, would count as a mount namespace, of which there are no more.
func mountOver(dir int, name string) (int, error) {
	how := &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	}
	at, err := unix.Openat2(dir, name, how)
	if err != nil {
		return -1, err
	}
	defer unix.Close(at)
	if err := unix.Mount(proc(at), proc(at), "", unix.MS_BIND, ""); err != nil {
		return -1, err
	}
	fd, err := unix.Openat2(dir, name, how) // what is a mount now cannot be renamed
	if err != nil {
		return -1, err
	}
	return fd, setMount(fd, "", unix.MOUNT_ATTR_RDONLY, unix.AT_EMPTY_PATH)
}

func (p *part) open() error {
	if p.writable {
		return nil
	}
	p.writable = true
	return unix.MountSetattr(p.fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
}

// close makes the mount read-only. A process that has a file in it open for writing may be about to end,
// and is given a moment for that.
func (p *part) close(pause func() bool) error {
	for begun := time.Now(); ; {
		err := setMount(p.fd, "", unix.MOUNT_ATTR_RDONLY, unix.AT_EMPTY_PATH)
		switch {
		case err == nil:
			p.writable = false
			return nil
		case err != unix.EBUSY:
			return step("making "+p.path+" read-only", err)
		case pause() || time.Since(begun) <= grace:
			if !overdue(begun) {
				continue
			}
		}
		// What is not found may be ending.
		if e := p.busy(); overdue(begun) || e.Path != "" && over(begun, []Process{e.Process}) {
			return e
		}
	}
}
