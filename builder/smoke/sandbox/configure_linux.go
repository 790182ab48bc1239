package sandbox

import (
	"os"

	"golang.org/x/sys/unix"
)

// configure sets what belongs to the namespaces.
func configure(s Spec) error {
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return step("setting the host name", err)
	}
	if s.Network == None {
		if err := loopbackUp(); err != nil {
			return step("starting the loopback interface", err)
		}
	}
	// One user namespace, for the program, and no more of any kind.
	for name, value := range map[string]string{
		"user": "1", "mnt": "0", "pid": "0", "net": "0", "ipc": "0", "uts": "0", "cgroup": "0",
	} {
		if err := os.WriteFile("/proc/sys/user/max_"+name+"_namespaces", []byte(value), 0); err != nil {
			return step("forbidding further namespaces", err)
		}
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req); err != nil {
		return err
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}
