package cli_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/release"
	"laminate/cli"
	"laminate/packager/diff"
)

var _ = It("release notes compare sizes by platform, whatever the order is, and what is larger with nothing", func() {
	amd, arm, pull := "sha256:a", "sha256:b", int64(7000)
	changed := diff.Diff{New: diff.Image{Digest: arm}}
	changed.Layers.Pull.Bytes = &pull
	notes := cli.ReleaseNotes(&release.Report{State: release.Pending, Items: []release.ItemReport{
		{Title: "full", Variant: "standard", Kind: "builder", Changes: &diff.Report{Images: []diff.Diff{changed}}, Images: []release.ImageReport{
			{Target: "linux/amd64", Digest: amd, Layers: 20, Bytes: 20_000}, {Target: "linux/arm64", Digest: arm, Layers: 30, Bytes: 30_000},
		}},
		{Title: "less-full", Variant: "less", Kind: "builder", Images: []release.ImageReport{{Target: "linux/arm64", Layers: 5, Bytes: 5_000}}},
		{Title: "more-full", Variant: "more", Kind: "builder", Images: []release.ImageReport{{Target: "linux/arm64", Layers: 50, Bytes: 5_000}}},
		{Title: "less-other", Variant: "less", Kind: "builder", Images: []release.ImageReport{{Target: "linux/arm64", Layers: 5, Bytes: 5_000}}},
	}})
	table := notes[strings.Index(notes, "| full"):strings.Index(notes, "\n\n###")]
	Expect(strings.Split(strings.TrimSpace(table), "\n")).To(Equal([]string{
		"| full | linux/amd64 | 20 | 20.0 kB |  |  |",
		"| full | linux/arm64 | 30 | 30.0 kB | 7.0 kB |  |",
		"| less-full | linux/arm64 | 5 | 5.0 kB |  | 25 layers, 25.0 kB less than full |",
		"| more-full | linux/arm64 | 50 | 5.0 kB |  |  |",
		"| less-other | linux/arm64 | 5 | 5.0 kB |  |  |",
	}))
})
