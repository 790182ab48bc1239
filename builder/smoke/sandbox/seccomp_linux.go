package sandbox

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refused are the system calls that answer EPERM: what no namespace confines, and what no build needs.
var refused = []uint32{
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP,
}

// architecture is how the kernel names one in a filter, and what a 64-bit kernel runs beside it.
type architecture struct {
	audit, compat uint32
	refused       []uint32 // the numbers of refused on compat
	big           bool     // big-endian
}

var architectures = map[string]architecture{
	"amd64":   {audit: unix.AUDIT_ARCH_X86_64, compat: unix.AUDIT_ARCH_I386, refused: []uint32{286, 287, 288, 357, 336, 374, 425}},
	"arm64":   {audit: unix.AUDIT_ARCH_AARCH64, compat: unix.AUDIT_ARCH_ARM, refused: []uint32{309, 310, 311, 386, 364, 388, 425}},
	"ppc64le": {audit: unix.AUDIT_ARCH_PPC64LE},
	"riscv64": {audit: unix.AUDIT_ARCH_RISCV64},
	"s390x":   {audit: unix.AUDIT_ARCH_S390X, big: true},
}

// Offsets in struct seccomp_data.
const (
	offsetNumber   = 0
	offsetArch     = 4
	offsetArgument = 16
)

// x32 marks the numbers of the x32 ABI, which is amd64's under other numbers.
const x32 = 0x40000000

// filterCalls installs the seccomp filter for this thread and what it becomes.
func filterCalls() error {
	arch, ok := architectures[runtime.GOARCH]
	if !ok {
		return errors.New("unsupported architecture " + runtime.GOARCH)
	}
	filter := arch.filter()
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&unix.SockFprog{
		Len: uint16(len(filter)), Filter: &filter[0],
	})), 0, 0)
}

func (a architecture) filter() []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	answer := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	// unless runs the following n instructions only if the loaded value is k.
	unless := func(k uint32, n int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: uint8(n)}
	}
	eperm := answer(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
	enosys := answer(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))
	numbers := func(list []uint32) []unix.SockFilter {
		out := []unix.SockFilter{load(offsetNumber)}
		for _, n := range list {
			out = append(out, unless(n, 1), eperm)
		}
		return out
	}
	family := uint32(offsetArgument)
	if a.big {
		family += 4
	}
	native := append(numbers(refused),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: x32, Jf: 1}, enosys,
		unless(unix.SYS_SOCKET, 3), load(family), unless(unix.AF_VSOCK, 1), eperm,
		answer(unix.SECCOMP_RET_ALLOW))
	out := append([]unix.SockFilter{load(offsetArch), unless(a.audit, len(native))}, native...)
	if a.compat != 0 {
		compat := append(numbers(a.refused), answer(unix.SECCOMP_RET_ALLOW))
		out = append(out, unless(a.compat, len(compat)))
		out = append(out, compat...)
	}
	return append(out, enosys)
}
