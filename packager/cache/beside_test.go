package cache_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/cache"
)

// What a run beside the tests is told in its environment: the cache, and how
// long its files may get, 0 for any length.
const besideDir, besideFileLimit = "CACHE_TEST_DIR", "CACHE_TEST_FILE_LIMIT"

const (
	besideKeys  = 12
	besideLimit = 1 << 20
)

func besideKey(i int) string { return fmt.Sprintf("piece %d", i) }

// besideBlob is what is kept under a key: it belongs to the key and to the
// number in the record, which differs from run to run.
func besideBlob(i, n int) string {
	return noise(uint64(i)<<32|uint64(n), 1000+(i*7919+n*104729)%200_000)
}

// beside is a run beside the tests, until somebody kills it. It ends by itself
// where it finds something wrong, or cannot keep something.
func beside(dir string) {
	if limit, _ := strconv.ParseUint(os.Getenv(besideFileLimit), 10, 64); limit > 0 {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			exit(2, err)
		}
	}
	for first := true; ; first = false {
		c, err := cache.Open(dir, besideLimit)
		if err != nil {
			exit(2, err)
		}
		if first {
			fmt.Println("begun")
		}
		for range 5 {
			i, n := rand.IntN(besideKeys), rand.IntN(3)
			if rand.IntN(2) == 0 {
				w := c.Create(besideKey(i))
				for rest := besideBlob(i, n); rest != ""; {
					part := min(len(rest), 10_000)
					_, _ = w.Write([]byte(rest[:part]))
					rest = rest[part:]
				}
				w.Commit(record{Count: n})
			}
			if err := checkKey(c, rand.IntN(besideKeys)); err != nil {
				exit(3, err)
			}
		}
		if err := c.Close(ctx); err != nil {
			exit(4, err)
		}
	}
}

func exit(code int, err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(code)
}

// checkKey reports a key under which there is something else than was kept.
func checkKey(c *cache.Cache, i int) error {
	var r record
	b, ok := c.Get(ctx, besideKey(i), &r)
	if !ok {
		return nil
	}
	if b == nil {
		return fmt.Errorf("%s: it has no blob", besideKey(i))
	}
	data, err := io.ReadAll(b.Reader())
	if err = errors.Join(err, b.Close()); err != nil {
		return err
	}
	if string(data) != besideBlob(i, r.Count) {
		return fmt.Errorf("%s: its blob is wrong", besideKey(i))
	}
	return nil
}

// startBeside starts a run beside this one, and waits until it is at work.
func startBeside(dir string, env ...string) *exec.Cmd {
	GinkgoHelper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), besideDir+"="+dir), env...)
	cmd.Stderr = GinkgoWriter
	stdout, err := cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(cmd.Start()).To(Succeed())
	Expect(bufio.NewReader(stdout).ReadString('\n')).To(Equal("begun\n"))
	return cmd
}

// kill ends a run at once, and tells whether it was still at work.
func kill(cmd *exec.Cmd) bool {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

var _ = Describe("runs beside each other", func() {
	It("may be killed at any instant: what is there is whole", func() {
		dir := GinkgoT().TempDir()
		const rounds = 60
		var all sync.WaitGroup
		for worker := range 3 {
			r := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), uint64(worker)))
			all.Go(func() {
				defer GinkgoRecover()
				for range rounds / 3 {
					cmd := startBeside(dir)
					time.Sleep(time.Duration(r.IntN(40_000)) * time.Microsecond)
					Expect(kill(cmd)).To(BeTrue(), "it ended by itself")
				}
			})
		}
		all.Wait()
		for range 50 { // other runs have removed what those before the last have left
			cmd := startBeside(dir)
			time.Sleep(10 * time.Millisecond)
			Expect(kill(cmd)).To(BeTrue(), "it ended by itself")
			if len(files(dir, "tmp")) > 0 {
				break
			}
		}
		Expect(files(dir, "tmp")).NotTo(BeEmpty(), "no run was killed while it wrote")

		By("looking at every file: no name is there before all of it is")
		blobs, entries := files(dir, "blobs"), files(dir, "entries")
		Expect(blobs).NotTo(BeEmpty())
		Expect(entries).NotTo(BeEmpty())
		for _, f := range blobs {
			data, err := os.ReadFile(f)
			Expect(err).NotTo(HaveOccurred())
			sum := sha256.Sum256(data)
			Expect(filepath.Base(f)).To(Equal(hex.EncodeToString(sum[:])))
		}
		c := open(dir, besideLimit)
		info, err := c.Info(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Entries).To(Equal(len(entries)), "each can be read")
		// Who evicts an entry beside a writer of the same one may take the new
		// blob with it. Has knows that, and so nothing may be wrong but absent.
		found := 0
		for i := range besideKeys {
			if c.Has(besideKey(i)) {
				found++
				_, _, ok := got(c, besideKey(i))
				Expect(ok).To(BeTrue())
				Expect(checkKey(c, i)).To(Succeed())
			}
		}
		Expect(found).To(BeNumerically(">", 0))

		By("opening it, which removes what the killed runs had not finished")
		Expect(files(dir, "tmp")).To(BeEmpty())
		Expect(c.Trim(ctx)).To(Succeed())
		Expect(diskUse(dir)).To(BeNumerically("<=", besideLimit))
	})

	It("may clean the cache while others use it", func() {
		dir := GinkgoT().TempDir()
		var others []*exec.Cmd
		for range 3 {
			others = append(others, startBeside(dir))
		}
		c := open(dir, besideLimit)
		Eventually(func() []string { return files(dir, "entries") }).ShouldNot(BeEmpty())
		for range 30 {
			Expect(c.Clean()).To(Succeed())
			for i := range besideKeys {
				Expect(checkKey(c, i)).To(Succeed())
			}
			time.Sleep(5 * time.Millisecond)
		}
		for _, other := range others {
			Expect(kill(other)).To(BeTrue(), "it ended by itself")
		}
		Expect(c.Clean()).To(Succeed())
		Expect(files(dir, "entries")).To(BeEmpty())
		Expect(files(dir, "blobs")).To(BeEmpty())
	})
})

var _ = Describe("a cache that cannot be written to", func() {
	It("takes no more when files may not get longer", func() {
		dir := GinkgoT().TempDir()
		keep(open(dir, 0), besideKey(0), besideBlob(0, 1), record{Count: 1})
		cmd := startBeside(dir, besideFileLimit+"=900")
		Expect(cmd.Wait()).NotTo(Succeed())
		Expect(cmd.ProcessState.ExitCode()).To(Equal(4), "what could not be kept is told at the end")
		Expect(files(dir, "tmp")).To(BeEmpty())
		Expect(files(dir, "blobs")).To(HaveLen(1))
		Expect(checkKey(open(dir, 0), 0)).To(Succeed())
	})

	DescribeTable("is none where something is in its way",
		func(place func(dir string) error) {
			dir := filepath.Join(GinkgoT().TempDir(), "cache")
			Expect(place(dir)).To(Succeed())
			_, err := cache.Open(dir, 0)
			Expect(err).To(MatchError(ContainSubstring("not a directory")))
		},
		Entry("a file", func(dir string) error { return os.WriteFile(dir, nil, 0o600) }),
		Entry("a file within", func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "v1"), nil, 0o600))
		}),
	)

	DescribeTable("tells of a file where it has a directory",
		func(name string) {
			dir := GinkgoT().TempDir()
			c := openBroken(dir, 0)
			Expect(os.WriteFile(filepath.Join(dir, "v1", name), nil, 0o600)).To(Succeed())
			keep(c, "piece a", "content", record{})
			c.Put("layer a", record{})
			_, _, ok := got(c, "piece a")
			Expect(ok).To(BeFalse())
			Expect(c.Close(ctx)).To(MatchError(filepath.Join(dir, "v1") + ": not a directory"))
		},
		Entry(nil, "entries"),
		Entry(nil, "blobs"),
		Entry(nil, "tmp"),
	)
})
