package localfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/localfile"
)

var _ = Describe("a file that a user names", func() {
	const name = "named"

	kinds := map[string]func(string){
		"is a named pipe, not a regular file; write its content to a file first": func(p string) {
			Expect(syscall.Mkfifo(p, 0o600)).To(Succeed())
		},
		"is a device, not a regular file": func(p string) { Expect(os.Symlink("/dev/zero", p)).To(Succeed()) },
		"is a directory, not a file":      func(p string) { Expect(os.Mkdir(p, 0o755)).To(Succeed()) },
		"is a socket, not a regular file": func(p string) {
			l, err := net.Listen("unix", p)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(l.Close)
		},
	}

	It("is opened if it is a regular one", func() {
		dir := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o600)).To(Succeed())
		for _, open := range []func() (*os.File, error){
			func() (*os.File, error) { return localfile.Open(filepath.Join(dir, name)) },
			func() (*os.File, error) { return localfile.OpenIn(dir, name) },
		} {
			f, err := open()
			Expect(err).NotTo(HaveOccurred())
			Expect(f.Close()).To(Succeed())
		}
		Expect(localfile.Read(filepath.Join(dir, name), 7)).To(BeEquivalentTo("content"))
		_, err := localfile.Read(filepath.Join(dir, name), 6)
		Expect(err).To(MatchError(ContainSubstring("named: is larger than the limit of 6 bytes")))
	})

	It("is refused at once if it is anything else", func(SpecContext) {
		for why, create := range kinds {
			dir, err := os.MkdirTemp("", "lf") // the paths of sockets must be short
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(os.RemoveAll, dir)
			p := filepath.Join(dir, name)
			create(p)
			var wrong *localfile.NotRegularError
			_, err = localfile.Open(p)
			Expect(err).To(MatchError("open " + p + ": " + why))
			Expect(errors.As(err, &wrong)).To(BeTrue())
			_, err = localfile.Read(p, 100)
			Expect(err).To(MatchError(ContainSubstring(why)))
			if why != "is a device, not a regular file" { // the link leads out
				_, err = localfile.OpenIn(dir, name)
				Expect(err).To(MatchError("open " + name + ": " + why))
			}
		}
	}, NodeTimeout(10*time.Second))

	It("must be there, and below the directory", func() {
		dir := GinkgoT().TempDir()
		_, err := localfile.Open(filepath.Join(dir, name))
		Expect(err).To(MatchError(fs.ErrNotExist))
		Expect(os.Symlink("/etc/passwd", filepath.Join(dir, name))).To(Succeed())
		_, err = localfile.OpenIn(dir, name)
		Expect(err).To(MatchError(ContainSubstring("escapes")))
	})
})

var _ = DescribeTable("Reason removes the operation and the path", func(err error, want string) {
	Expect(localfile.Reason(err)).To(MatchError(want))
},
	Entry("of a path", fmt.Errorf("x: %w", &fs.PathError{Op: "open", Path: "/tmp/a", Err: fs.ErrNotExist}), "file does not exist"),
	Entry("of a link", &os.LinkError{Op: "rename", Old: "a", New: "b", Err: fs.ErrPermission}, "permission denied"),
	Entry("of no file", errors.New("other"), "other"),
)
