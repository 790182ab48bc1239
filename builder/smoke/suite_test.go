package smoke_test

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
	"laminate/builder/smoke/sandbox"
	"laminate/fixtures"
	"laminate/packager/config"
	"laminate/packager/image"
	"laminate/packager/progress"
	"laminate/packager/stream"
)

// TestMain lets the sandbox run this program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sandbox.Argument {
		os.Exit(sandbox.Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func TestSmoke(t *testing.T) {
	RegisterFailHandler(Fail)
	Expect(fixtures.TempInMemory()).To(Succeed())
	SetDefaultEventuallyTimeout(time.Minute)
	RunSpecs(t, "builder/smoke")
}

// expected parses a smoke.toml.
func expected(toml string) config.Smoke {
	GinkgoHelper()
	s, problems := config.ParseSmoke("smoke.toml", []byte(toml))
	Expect(problems.Err()).NotTo(HaveOccurred())
	return s
}

// imageOf returns an image of layers, the tar of each, the lowest first.
func imageOf(change func(*v1.Config), tars ...[]byte) *image.Image {
	GinkgoHelper()
	raw := empty.Image
	for _, t := range tars {
		var err error
		raw, err = mutate.AppendLayers(raw, static.NewLayer(t, types.DockerUncompressedLayer))
		Expect(err).NotTo(HaveOccurred())
	}
	file, err := raw.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	file.OS, file.Architecture = "linux", "amd64"
	if change != nil {
		change(&file.Config)
	}
	raw, err = mutate.ConfigFile(raw, file)
	Expect(err).NotTo(HaveOccurred())
	img, err := image.New(context.Background(), image.Raw{Image: raw, Name: "app", Stored: true, Limits: stream.Limits{}.OrDefault(), Log: progress.Discard})
	Expect(err).NotTo(HaveOccurred())
	return img
}

func logOf(text string) smoke.OpenLog {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}

// said returns the failures of a check, as a user reads them.
func said(toml string, o smoke.Outcome) []string {
	GinkgoHelper()
	all := []string{}
	for _, f := range smoke.Check(context.Background(), expected(toml), o) {
		all = append(all, strings.TrimLeft(strings.TrimPrefix(f.Error(), "smoke.toml:"), " "))
	}
	return all
}
