package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
	"laminate/packager/scratch"
)

var _ = Describe("what killed runs leave in TMPDIR", func() {
	const left = ".laminate-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp"
	var temp string
	var vars map[string]string
	run := func(args ...string) result {
		GinkgoHelper()
		var stdout, stderr bytes.Buffer
		code := cli.Run(context.Background(), append([]string{"laminate"}, args...), &stdout, &stderr, func(name string) string { return vars[name] })
		return result{code, stdout.String(), stderr.String()}
	}
	BeforeEach(func() {
		temp = GinkgoT().TempDir()
		vars = map[string]string{"TMPDIR": temp, "LAMINATE_CACHE_DIR": filepath.Join(GinkgoT().TempDir(), "cache")}
		Expect(os.Mkdir(filepath.Join(temp, left), 0o700)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(temp, left, "layer-1"), make([]byte, 1500), 0o600)).To(Succeed())
		Expect(os.Mkdir(filepath.Join(temp, "laminate-sources"), 0o700)).To(Succeed())
	})
	others := func() []string {
		GinkgoHelper()
		entries, err := os.ReadDir(temp)
		Expect(err).NotTo(HaveOccurred())
		var all []string
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}

	It("is removed by the next run, and nothing of the runs that live or of the user", func() {
		enterPackages("offline")
		alive, err := scratch.Make(scratch.At(temp))
		Expect(err).NotTo(HaveOccurred())
		r := run("package", "out.cnb", "-q")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(others()).To(ConsistOf(alive.Name, "laminate-sources"))
		Expect(alive.Remove()).To(Succeed())
	})

	It("is removed by cache clean, which says so", func() {
		r := run("cache", "clean")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(r.stdout).To(HaveSuffix(temp + ": removed what 1 killed run had left, 1.5 kB\n"))
		Expect(others()).To(Equal([]string{"laminate-sources"}))
		Expect(run("cache", "clean").stdout).NotTo(ContainSubstring(temp))
	})
})

var _ = Describe("standard output that takes nothing", func() {
	It("fails the run, and the message says that the output is there", func() {
		enterPackages("offline")
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			Skip("there is no /dev/full here")
		}
		defer full.Close()
		var stderr bytes.Buffer
		code := cli.Run(context.Background(), []string{"laminate", "package", "out.cnb", "-q"}, full, &stderr, func(string) string { return "" })
		Expect(code).To(Equal(1))
		want := digest(laminate("package", "again.cnb", "-q"))
		Expect(stderr.String()).To(Equal("laminate: standard output: write /dev/full: no space left on device; the output is complete nevertheless: out.cnb (" + want + ")\n"))
		Expect("out.cnb").To(BeARegularFile())
	})
})
