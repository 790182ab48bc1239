package cli_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
	"laminate/cli"
)

var _ = It("the text of a smoke test has a line for each error, and of a log what a terminal would show", func() {
	app := smoke.Result{
		App: "app", Status: smoke.Broken, Error: "smoke.toml:1: a\nsmoke.toml:2: b",
		Phases: []smoke.Phase{{Name: "build", Log: "10 %\r100 %\r\nend\n"}},
	}
	text, err := cli.SmokeText(smoke.Report{Apps: []smoke.Result{app}})
	Expect(err).NotTo(HaveOccurred())
	Expect(text).To(HaveSuffix("   build | 100 %\n   build | end\n   error: smoke.toml:1: a\n   error: smoke.toml:2: b\n"))
})
