package cli_test

import (
	"context"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
	"laminate/fixtures"
)

var _ = Describe("builder create that is killed while it builds and uploads", Ordered, func() {
	var registry *fixtures.Traffic
	var old, want string
	create := func(repository string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], "builder", "create", registry.Host+"/"+repository+":1", "--publish", "-q", "--no-cache", "-c", "builder.toml", "-t", "linux/amd64", "--flatten")
		cmd.Env = append(os.Environ(), asLaminate+"=1", "TMPDIR="+GinkgoT().TempDir())
		return cmd
	}
	toml := func(composites ...string) {
		text := fmt.Sprintf("[build]\nimage = \"%s/base:1\"\n[[run.images]]\nimage = \"%[1]s/base:1\"\n[lifecycle]\nuri = \"lifecycle.tgz\"\n", registry.Host)
		for _, c := range composites {
			text += fmt.Sprintf("[[buildpacks]]\nuri = \"docker://%s/%s:1\"\n[[order]]\n[[order.group]]\nid = \"acme/%[2]s\"\n", registry.Host, c)
		}
		put("builder.toml", text)
	}
	// made creates a builder, and returns its digest.
	made := func(repository string) string {
		GinkgoHelper()
		cmd := create(repository)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		Expect(err).NotTo(HaveOccurred(), stderr.String())
		digest, _, _ := strings.Cut(string(out), "\t")
		return digest
	}
	BeforeAll(func() {
		enterBuilder()
		registry = fixtures.CountedRegistry(GinkgoT())
		base, err := fixtures.BaseImage("")
		Expect(err).NotTo(HaveOccurred())
		ref, err := name.ParseReference(registry.Host + "/base:1")
		Expect(err).NotTo(HaveOccurred())
		Expect(remote.Write(ref, base)).To(Succeed())
		random := rand.New(rand.NewSource(1))
		for _, component := range []string{"a", "b", "shared"} {
			content := make([]byte, 2_500_000)
			random.Read(content)
			put(component+"/content", string(content))
		}
		for _, c := range []string{"left", "right"} {
			r := laminate("package", registry.Host+"/"+c+":1", "--publish", "-q", "-c", c+".toml", "--no-cache")
			Expect(r.code).To(BeZero(), r.stderr)
		}
		toml("left")
		old = made("old")
		toml("left", "right")
		want = made("whole")
	})

	DescribeTable("leaves the old image under the tag, and the next run makes the new one", func(method, path string) {
		repository := strings.ToLower(method) + strings.NewReplacer("/", "-", ":", "").Replace(path)
		toml("left")
		Expect(made(repository)).To(Equal(old))
		toml("left", "right")
		for at := int32(1); at <= 2; at++ { // the first such request, and the second
			cmd := create(repository)
			started := make(chan struct{})
			var n atomic.Int32
			registry.Before(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method != method || !strings.Contains(r.URL.Path, path) || n.Add(1) != at {
					return false
				}
				_, _ = r.Body.Read(make([]byte, 1)) // in the middle of a blob, if it has one
				<-started
				_ = cmd.Process.Kill()
				panic(http.ErrAbortHandler)
			})
			Expect(cmd.Start()).To(Succeed())
			close(started)
			err := cmd.Wait()
			registry.Before(nil)
			if at == 1 || n.Load() >= at {
				Expect(err).To(MatchError("signal: killed"))
				Expect(digestAt(registry.Host + "/" + repository + ":1")).To(Equal(old))
			}
		}
		Expect(made(repository)).To(Equal(want))
		r := laminate("verify", registry.Host+"/"+repository+":1")
		Expect(r.code).To(BeZero(), r.stdout+r.stderr)
	},
		Entry("when it begins an upload", http.MethodPost, "/blobs/uploads/"),
		Entry("in the middle of a layer", http.MethodPatch, "/blobs/uploads/"),
		Entry("when it ends an upload", http.MethodPut, "/blobs/uploads/"),
		Entry("when it writes the manifest", http.MethodPut, "/manifests/sha256:"),
		Entry("when it moves the tag", http.MethodPut, "/manifests/1"),
	)

	It("says that there is no output if it is interrupted in the middle of a layer, and leaves nothing", func() {
		toml("left")
		Expect(made("interrupted")).To(Equal(old))
		toml("left", "right")
		temp := GinkgoT().TempDir()
		ctx, interrupt := context.WithCancel(context.Background())
		registry.Before(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPatch {
				return false
			}
			_, _ = r.Body.Read(make([]byte, 1))
			interrupt()
			<-r.Context().Done() // it gives up
			panic(http.ErrAbortHandler)
		})
		var stderr strings.Builder
		code := cli.Run(ctx, create("interrupted").Args, io.Discard, &stderr, func(key string) string {
			return map[string]string{"TMPDIR": temp}[key]
		})
		registry.Before(nil)
		Expect(code).To(Equal(1))
		Expect(stderr.String()).To(Equal("laminate: interrupted; there is no output\n"))
		Expect(os.ReadDir(temp)).To(BeEmpty())
		Expect(digestAt(registry.Host + "/interrupted:1")).To(Equal(old))
	})
})
