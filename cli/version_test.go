package cli_test

import (
	"encoding/json"
	"runtime"
	"runtime/debug"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
)

var _ = Describe("version", func() {
	It("prints the commit and the version of Go that the build recorded", func() {
		info := &debug.BuildInfo{GoVersion: "go1.99.1", Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}, {Key: "vcs.modified", Value: "false"},
		}}
		platform := runtime.GOOS + "/" + runtime.GOARCH
		Expect(cli.VersionLine(info)).To(Equal("laminate v1.2.3 (commit 0123456789ab, go1.99.1, " + platform + ")"))
		info.Settings[1].Value = "true"
		Expect(cli.VersionLine(info)).To(Equal("laminate v1.2.3 (commit 0123456789ab, modified, go1.99.1, " + platform + ")"))
		Expect(cli.VersionLine(nil)).To(Equal("laminate (devel) (" + runtime.Version() + ", " + platform + ")"))
	})

	It("prints the same as JSON", func() {
		for _, args := range [][]string{{"version", "--output", "json"}, {"--version", "--output=json"}, {"package", "--output", "json", "--version"}} {
			r := laminate(args...)
			Expect(r.code).To(BeZero(), r.stderr)
			var got map[string]any
			Expect(json.Unmarshal([]byte(r.stdout), &got)).To(Succeed())
			Expect(got).To(Equal(map[string]any{"version": "(devel)", "modified": false, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}))
		}
	})

	It("refuses another format and an argument", func() {
		Expect(laminate("version", "--output", "yaml").stderr).To(HavePrefix(`laminate: invalid value "yaml" for --output; write text or json`))
		Expect(laminate("version", "x").stderr).To(HavePrefix(`laminate: unexpected argument "x"`))
	})
})
