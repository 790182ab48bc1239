//go:build linux

package sandbox_test

import (
	"encoding/binary"
	"runtime"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"laminate/builder/smoke/sandbox"
)

const (
	allow   = unix.SECCOMP_RET_ALLOW
	refuse  = unix.SECCOMP_RET_ERRNO | int(unix.EPERM)
	unknown = unix.SECCOMP_RET_ERRNO | int(unix.ENOSYS)
)

// The numbers of refused calls are those of the architecture that runs the tests.
var _ = DescribeTable("The seccomp filter", Label("once"), func(audit, number, argument, action int) {
	if runtime.GOARCH != "amd64" {
		Skip("the entries have amd64's numbers")
	}
	var program []bpf.RawInstruction
	for _, i := range sandbox.Filter("amd64") {
		program = append(program, bpf.RawInstruction{Op: i.Code, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	instructions, all := bpf.Disassemble(program)
	Expect(all).To(BeTrue())
	vm, err := bpf.NewVM(instructions)
	Expect(err).NotTo(HaveOccurred())
	data := make([]byte, 64) // struct seccomp_data, in the byte order of this machine's interpreter
	binary.BigEndian.PutUint32(data, uint32(number))
	binary.BigEndian.PutUint32(data[4:], uint32(audit))
	binary.BigEndian.PutUint32(data[16:], uint32(argument))
	Expect(vm.Run(data)).To(Equal(action))
},
	Entry("read", unix.AUDIT_ARCH_X86_64, 0, 0, allow),
	Entry("add_key", unix.AUDIT_ARCH_X86_64, 248, 0, refuse),
	Entry("request_key", unix.AUDIT_ARCH_X86_64, 249, 0, refuse),
	Entry("keyctl", unix.AUDIT_ARCH_X86_64, 250, 0, refuse),
	Entry("bpf", unix.AUDIT_ARCH_X86_64, 321, 0, refuse),
	Entry("io_uring_setup", unix.AUDIT_ARCH_X86_64, 425, 0, refuse),
	Entry("a unix socket", unix.AUDIT_ARCH_X86_64, 41, unix.AF_UNIX, allow),
	Entry("a vsock", unix.AUDIT_ARCH_X86_64, 41, unix.AF_VSOCK, refuse),
	Entry("an argument that is no family", unix.AUDIT_ARCH_X86_64, 42, unix.AF_VSOCK, allow),
	Entry("keyctl of x32", unix.AUDIT_ARCH_X86_64, 0x40000000+250, 0, unknown),
	Entry("32-bit read", unix.AUDIT_ARCH_I386, 3, 0, allow),
	Entry("32-bit add_key", unix.AUDIT_ARCH_I386, 286, 0, refuse),
	Entry("32-bit keyctl", unix.AUDIT_ARCH_I386, 288, 0, refuse),
	Entry("32-bit with the 64-bit number", unix.AUDIT_ARCH_I386, 250, 0, allow),
	Entry("another architecture", unix.AUDIT_ARCH_ARM, 3, 0, unknown),
)
