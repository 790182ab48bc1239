package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// leaveOpen leaves a process that holds a file, in the way of args[1].
func leaveOpen(args []string) {
	start(append([]string{"hold"}, args...)...)
	await("/data/held")
	fmt.Println("left")
}

func hold(args []string) {
	f, err := os.OpenFile(args[0], os.O_RDWR|os.O_CREATE, 0o644)
	say("open", err)
	_, _ = f.Write(make([]byte, 4096))
	switch args[1] {
	case "map":
		_, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		say("map", err)
		f.Close()
	case "remove":
		say("remove", os.Remove(args[0]))
	case "dir":
		say("chdir", os.Chdir(filepath.Dir(args[0])))
		f.Close()
	case "read":
		f.Close()
		f, err = os.Open(args[0])
		say("open", err)
	}
	put("/data/held", "")
	switch {
	case args[1] == "dir":
		await("/data/go")
		put("/data/late", fmt.Sprint(os.WriteFile("late", nil, 0o644)))
	case len(args) > 2:
		burn(nil)
		return
	}
	time.Sleep(time.Hour)
}

// late lets a process of the kind dir go on, and says how its writing went.
func late([]string) {
	put("/data/go", "")
	await("/data/late")
	cat([]string{"/data/late"})
}

// reach says what it can do in /layers: own is its part and other another one.
func reach(args []string) {
	own, other := "/layers/"+args[0]+"/", "/layers/"+args[1]+"/"
	say("own", os.WriteFile(own+"own", []byte("x"), 0o644))
	say("other", os.WriteFile(other+"planted", []byte("x"), 0o644))
	say("top", os.WriteFile("/layers/planted", []byte("x"), 0o644))
	say("mkdir", os.Mkdir("/layers/new", 0o755))
	say("rename", os.Rename(own+"own", other+"own"))
	say("link", os.Link(own+"own", other+"own"))
	say("link here", os.Link(other+"file", own+"file"))
	say("rename of it", os.Rename("/layers/"+args[1], "/layers/moved"))
	say("umount", unix.Unmount(other, 0))
	say("umount of own", unix.Unmount(own, unix.MNT_DETACH))
	say("remount", unix.Mount("", other, "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	say("setattr", unix.MountSetattr(unix.AT_FDCWD, other, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}))
	say("bind", unix.Mount(other, own, "", unix.MS_BIND, ""))
	say("move", unix.MoveMount(unix.AT_FDCWD, other, unix.AT_FDCWD, own, 0))
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	var flags []string
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); strings.HasPrefix(f[4], "/layers") {
			mode, _, _ := strings.Cut(f[5], ",")
			flags = append(flags, f[4]+"="+mode)
		}
	}
	say("mounts", fmt.Errorf("%s", strings.Join(flags, " ")))
}
