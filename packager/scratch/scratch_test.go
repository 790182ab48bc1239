package scratch_test

import (
	"bufio"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/scratch"
)

// beside starts a process that holds a scratch directory, and returns the name
// of that directory.
func beside(place string) (cmd *exec.Cmd, name string) {
	GinkgoHelper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), besidePlace+"="+place)
	stdout, err := cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(cmd.Start()).To(Succeed())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	Expect(err).NotTo(HaveOccurred())
	return cmd, strings.TrimSpace(line)
}

func kill(cmd *exec.Cmd) {
	GinkgoHelper()
	Expect(cmd.Process.Kill()).To(Succeed())
	Expect(cmd.Wait()).To(MatchError("signal: killed"))
}

func names(dir string) []string {
	GinkgoHelper()
	entries, err := os.ReadDir(dir)
	Expect(err).NotTo(HaveOccurred())
	all := []string{}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// spoiling is a directory in which another process replaces the first directory
// before it is locked.
type spoiling struct {
	scratch.At
	replace func(path string) error
}

func (s *spoiling) Mkdir(name string, perm fs.FileMode) error {
	replace := s.replace
	if s.replace = nil; replace == nil {
		return s.At.Mkdir(name, perm)
	}
	return replace(filepath.Join(string(s.At), name))
}

var _ = Describe("a scratch directory", func() {
	var place string
	BeforeEach(func() { place = GinkgoT().TempDir() })

	It("belongs to its process, and is swept once that was killed", func() {
		one, first := beside(place)
		two, second := beside(place)
		Expect(scratch.Sweep(place)).To(BeZero())
		Expect(names(place)).To(ConsistOf(first, second))
		Expect(scratch.Is(first)).To(BeTrue())
		kill(one)
		n, bytes := scratch.Sweep(place)
		Expect(n).To(Equal(1))
		Expect(bytes).To(BeEquivalentTo(1000))
		Expect(names(place)).To(ConsistOf(second))
		kill(two)
		root, err := os.OpenRoot(place)
		Expect(err).NotTo(HaveOccurred())
		n, _ = scratch.SweepRoot(root)
		Expect(n).To(Equal(1))
		Expect(root.Close()).To(Succeed())
		Expect(names(place)).To(BeEmpty())
	})

	It("is for this user only, and goes with everything in it", func() {
		dir, err := scratch.Make(scratch.At(place))
		Expect(err).NotTo(HaveOccurred())
		info, err := os.Stat(dir.Path())
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o700))
		Expect(os.MkdirAll(filepath.Join(dir.Path(), "a", "b"), 0o700)).To(Succeed())
		Expect(scratch.Sweep(place)).To(BeZero())
		Expect(dir.Remove()).To(Succeed())
		Expect(names(place)).To(BeEmpty())
	})

	It("is never lost between being made and being locked", func() {
		done := make(chan struct{})
		var sweepers, makers sync.WaitGroup
		for range 2 {
			sweepers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						scratch.Sweep(place)
					}
				}
			})
		}
		for range 4 {
			makers.Go(func() {
				defer GinkgoRecover()
				for range 300 {
					dir, err := scratch.Make(scratch.At(place))
					Expect(err).NotTo(HaveOccurred())
					Expect(os.WriteFile(filepath.Join(dir.Path(), "file"), nil, 0o600)).To(Succeed())
					Expect(dir.Remove()).To(Succeed())
				}
			})
		}
		makers.Wait()
		close(done)
		sweepers.Wait()
		Expect(names(place)).To(BeEmpty())
	})

	const name = ".laminate-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp"

	DescribeTable("is not what else lies beside it",
		func(name string) {
			Expect(os.Mkdir(filepath.Join(place, name), 0o700)).To(Succeed())
			Expect(scratch.Sweep(place)).To(BeZero())
			Expect(names(place)).To(Equal([]string{name}))
		},
		Entry("of the user", "laminate-ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
		Entry("of a shorter name", ".laminate-ABC.tmp"),
		Entry("of a longer name", name+".tmp"),
		Entry("where locks hold on one machine only", ".laminate-ABCDEFGHIJKLMNOPQRSTUVWXYZ.unlocked.tmp"),
	)

	It("is no link and no file", func() {
		other := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(other, "mine"), nil, 0o600)).To(Succeed())
		Expect(os.Symlink(other, filepath.Join(place, name))).To(Succeed())
		Expect(os.WriteFile(filepath.Join(place, strings.Replace(name, "A", "B", 1)), nil, 0o600)).To(Succeed())
		Expect(scratch.Sweep(place)).To(BeZero())
		Expect(names(place)).To(HaveLen(2))
		Expect(names(other)).To(Equal([]string{"mine"}))
	})

	It("is swept by its user only, and a link in it is not followed", func() {
		other := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(other, "mine"), nil, 0o600)).To(Succeed())
		Expect(os.Mkdir(filepath.Join(place, name), 0o700)).To(Succeed())
		Expect(os.Symlink(other, filepath.Join(place, name, "link"))).To(Succeed())
		if os.Geteuid() == 0 {
			Expect(os.Chown(filepath.Join(place, name), 1, 1)).To(Succeed())
			Expect(scratch.Sweep(place)).To(BeZero())
			Expect(os.Chown(filepath.Join(place, name), 0, 0)).To(Succeed())
		}
		n, _ := scratch.Sweep(place)
		Expect(n).To(Equal(1))
		Expect(names(place)).To(BeEmpty())
		Expect(names(other)).To(Equal([]string{"mine"}))
	})

	DescribeTable("is made anew where something else has taken its place",
		func(ctx SpecContext, replace func(path string) error) {
			dir, err := scratch.Make(&spoiling{At: scratch.At(place), replace: replace})
			Expect(err).NotTo(HaveOccurred())
			Expect(scratch.Swept(dir.Name)).To(BeTrue())
			Expect(filepath.Join(place, dir.Name)).To(BeADirectory())
			Expect(scratch.Sweep(place)).To(BeZero())
			Expect(dir.Remove()).To(Succeed())
			Expect(names(place)).To(BeEmpty())
		},
		Entry("a named pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }, NodeTimeout(5*time.Second)),
		Entry("a file", func(path string) error { return os.WriteFile(path, nil, 0o600) }),
		Entry("a link to a directory", func(path string) error { return os.Symlink(os.TempDir(), path) }),
	)

	It("is not made where none can be", func() {
		_, err := scratch.Make(scratch.At(filepath.Join(place, "nowhere")))
		Expect(err).To(MatchError(os.ErrNotExist))
		n, _ := scratch.Sweep(filepath.Join(place, "nowhere"))
		Expect(n).To(BeZero())
	})
})

var _ = Describe("a claim", func() {
	var place scratch.At
	BeforeEach(func() { place = scratch.At(GinkgoT().TempDir()) })
	claim := func(key string) *scratch.Dir {
		GinkgoHelper()
		dir, err := scratch.Claim(place, key)
		Expect(err).NotTo(HaveOccurred())
		return dir
	}

	It("is one process's at a time, and keeps no other name from being claimed", func() {
		one := claim("one")
		Expect(claim("one")).To(BeNil())
		another := claim("another")
		Expect(scratch.Sweep(string(place))).To(BeZero())
		Expect(names(string(place))).To(ConsistOf(one.Name, another.Name))
		Expect(scratch.Swept(one.Name)).To(BeTrue())
		Expect(one.Remove()).To(Succeed())
		one = claim("one")
		Expect(claim("one")).To(BeNil())
		Expect(one.Remove()).To(Succeed())
		Expect(another.Remove()).To(Succeed())
		Expect(names(string(place))).To(BeEmpty())
	})

	It("of a killed process is taken over, or swept", func() {
		name := claim("one").Name
		for _, next := range []func(){
			func() { Expect(claim("one").Remove()).To(Succeed()) },
			func() {
				n, _ := scratch.Sweep(string(place))
				Expect(n).To(Equal(1))
			},
		} {
			Expect(os.RemoveAll(filepath.Join(string(place), name))).To(Succeed())
			Expect(os.Mkdir(filepath.Join(string(place), name), 0o755)).To(Succeed())
			next()
			Expect(names(string(place))).To(BeEmpty())
		}
	})

	It("is never two processes' at a time, whatever is swept meanwhile", func() {
		var holders, most atomic.Int32
		done := make(chan struct{})
		var sweeper, claimers sync.WaitGroup
		sweeper.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					scratch.Sweep(string(place))
				}
			}
		})
		for range 4 {
			claimers.Go(func() {
				defer GinkgoRecover()
				for n := 0; n < 100; {
					dir := claim("one")
					if dir == nil {
						runtime.Gosched()
						continue
					}
					n++
					most.Store(max(most.Load(), holders.Add(1)))
					runtime.Gosched()
					holders.Add(-1)
					Expect(dir.Remove()).To(Succeed())
				}
			})
		}
		claimers.Wait()
		close(done)
		sweeper.Wait()
		Expect(most.Load()).To(BeEquivalentTo(1))
		Expect(names(string(place))).To(BeEmpty())
	})

	It("can be opened by other users, whatever the umask is", func() {
		old := syscall.Umask(0o077)
		dir, err := scratch.Claim(place, "shared")
		syscall.Umask(old)
		Expect(err).NotTo(HaveOccurred())
		info, err := os.Stat(dir.Path())
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(Equal(fs.FileMode(0o755)))
		Expect(dir.Remove()).To(Succeed())
	})

	It("fails where something else has its name", func(SpecContext) {
		dir := claim("one")
		Expect(dir.Remove()).To(Succeed())
		Expect(syscall.Mkfifo(dir.Path(), 0o600)).To(Succeed())
		_, err := scratch.Claim(place, "one")
		Expect(err).To(MatchError(syscall.ENOTDIR))
		_, err = scratch.Claim(place+"/nowhere", "one")
		Expect(err).To(MatchError(os.ErrNotExist))
	}, NodeTimeout(5*time.Second))
})
