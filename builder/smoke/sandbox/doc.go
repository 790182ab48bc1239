// Package sandbox runs one command in a Linux sandbox, as root or as an ordinary user, without a
// daemon and without a set-uid helper. It is for programs of images that are not trusted.
//
// # Stages
//
// Run starts the calling program again (/proc/self/exe with [Argument]), which has to hand over to
// [Main] before anything else:
//
//	caller      Run: sends the [Spec], streams output, waits, kills
//	supervisor  pid 1 of a new pid namespace. Root of a user namespace that maps 0 to the caller and
//	            nothing else. It makes the mounts, reaps orphans, watches the limits and reports
//	program     in a second user namespace, which maps [Spec.UID] to the caller, without capabilities
//
// Both user namespaces map one id, so that neither newuidmap nor root is needed: every file that the
// caller owns belongs to the program's user inside. What other users own belongs to the overflow user.
//
// # What the program sees
//
// The root file system is an overlay over [Spec.Root], read-only unless [Spec.Writable] is set. /proc
// is new and read-only, with what it tells about the machine masked; /dev has null, zero, full, random,
// urandom, tty and a shm of 64 MiB; /sys is what the root has. The mounts of the spec lie above. All of
// it is nosuid and nodev, and exists in a mount namespace of its own, which ends with its processes.
// There is a network namespace with only a loopback interface, unless [Host] is chosen, and there are
// ipc, uts and cgroup namespaces. Standard input is /dev/null, standard output and error are pipes, no
// other descriptor is open.
//
// The program cannot gain privileges: its bounding set is empty, no_new_privs is set, and no further
// namespaces can be made. A seccomp filter refuses the keyring, bpf, perf, userfaultfd, io_uring and
// vsock, none of which a namespace confines. The supervisor is in another user namespace, so that the
// program can neither trace it nor look into it.
//
// # While it runs
//
// With [Spec.Started] the caller has an [Inside], with which it connects to what listens on the loopback
// interface of the sandbox, and stops the program. The supervisor, which is inside, does that: it gets
// requests over a socket, and passes connections back.
//
// # What the caller can observe
//
// With a [Watch] the program gets a second seccomp filter, whose listener the supervisor holds: a call
// that executes a program or, where the caller wants to know of it, ends one waits until the supervisor has
// read what it is about from the process's memory and, where it is one to tell about, the caller has
// answered. All calls go on then. With an [Access] in its answer the caller makes parts of a mount read-only:
// the supervisor, which owns the mounts, makes them mounts of their own and changes their flags.
//
// # What it does not confine
//
// Memory and CPU time are not limited. The supervisor's limits on processes and bytes are looked at
// every few milliseconds, so a program can exceed them for that long. The kernel itself limits processes
// as well, somewhat above: for an ordinary user by RLIMIT_NPROC, which exempts root; for root in a cgroup,
// if there is a file system of cgroups that can be written to.
// Supplementary groups of the caller stay with the program. With [Host] the program reaches what listens
// on the machine, abstract unix sockets included. A program can end its own supervisor by a queued
// signal; then all processes end and Run returns an error.
package sandbox
