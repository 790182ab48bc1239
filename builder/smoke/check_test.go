package smoke_test

import (
	"context"
	"errors"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
	"laminate/flatten"
	"laminate/packager/config"
)

// good is what came of a build that went well.
func good() smoke.Outcome {
	GinkgoHelper()
	return smoke.Outcome{App: imageOf(func(c *v1.Config) {
		c.Entrypoint = []string{"/cnb/process/web"}
		c.Labels = map[string]string{
			"maintainer": "Ada",
			flatten.BuildMetadataLabel: `{"buildpacks":[{"id":"a/jdk","version":"21"},{"id":"a/app","version":"1"}],` +
				`"processes":[{"type":"web","command":["java","-jar"],"args":["app.jar"]},{"type":"old","command":"sh -c x"}]}`,
		}
	})}
}

var _ = Describe("Check", func() {
	It("finds nothing wrong if all is as expected", func() {
		o := good()
		o.Log = logOf("\x1b[36m[builder]\x1b[0m Reusing layer\r\n")
		o.Launch = &smoke.Launched{Answer: &smoke.Answer{Status: 200, Body: "it is ok"}, Env: []string{"A=x=y", "B"}, Log: logOf("Started")}
		Expect(said(`
[[group]]
id = "a/jdk"
[[group]]
id = "a/app"
version = "1"
[[processes]]
type = "web"
command = '^java -jar$'
args = 'app\.jar'
default = true
[[processes]]
type = "old"
command = 'sh'
[[labels]]
key = "maintainer"
[[labels]]
key = "maintainer"
value = "Eve"
absent = true
[[logs]]
line = '^\[builder\] Reusing layer$'
[launch.http]
port = 80
body = 'ok'
[[launch.env]]
name = "A"
value = '^x=y$'
[[launch.env]]
name = "C"
absent = true
[[launch.logs]]
line = 'Started'
`, o)).To(BeEmpty())
		Expect(smoke.Check(context.Background(), config.Smoke{}, good())).To(BeEmpty())
	})

	It("reports everything at once, in the order of the file", func() {
		o := good()
		o.Log = logOf("one\nDEPRECATED a\ntwo\ndeprecated b\n")
		o.Launch = &smoke.Launched{Answer: &smoke.Answer{Status: 500, Body: "no"}, Env: []string{"PATH=/bin"}, Log: logOf("")}
		Expect(said(`[[group]]
id = "a/jdk"
[[group]]
id = "a/app"
version = "2"
[[processes]]
type = "web"
command = '^node'
args = 'x'
[[processes]]
type = "worker"
[[processes]]
type = "old"
default = true
[[labels]]
key = "Maintainers"
[[labels]]
key = "maintainer"
value = '^Eve$'
[[labels]]
key = "maintainer"
absent = true
[[labels]]
key = "maintainer"
value = 'A'
absent = true
[[logs]]
line = 'three'
[[logs]]
line = '(?i)deprecated'
absent = true
[[logs]]
line = 'one'
absent = true
[[files]]
path = '/x'
[launch.http]
port = 80
path = "/health"
body = 'ok'
[[launch.env]]
name = "PATH"
value = 'layers'
[[launch.env]]
name = "JAVA_HOME"
[[launch.logs]]
line = 'Started'
`, o)).To(Equal([]string{
			"3: detected group is a/jdk@21, a/app@1; expected a/jdk, a/app@2",
			`8: command of process web is "java -jar"; expected one that matches /^node/`,
			`9: args of process web are "app.jar"; expected some that match /x/`,
			"10: there is no process worker; the image has web, old",
			"14: default process is web; expected old",
			"15: there is no label Maintainers; there is maintainer",
			`19: label maintainer is "Ada"; expected one that matches /^Eve$/`,
			`20: label maintainer is "Ada"; expected none`,
			`23: label maintainer is "Ada"; expected none that matches /A/`,
			"27: log of the build has no line that matches /three/",
			`29: log of the build has 2 lines that match /(?i)deprecated/, the first is line 2 "DEPRECATED a"; expected none`,
			`32: log of the build has line 1 "one"; expected none that matches /one/`,
			"35: there is no file /x; / has none",
			`37: GET /health answered 500 with "no"; expected 200`,
			`40: GET /health answered "no"; expected a body that matches /ok/`,
			`43: environment variable PATH is "/bin"; expected one that matches /layers/`,
			"44: there is no environment variable JAVA_HOME",
			"46: log of the process has no line that matches /Started/",
		}))
	})

	DescribeTable("judges the exit code, and checks nothing else but the log of a build that failed", func(want string, have int, failures ...string) {
		o := smoke.Outcome{ExitCode: have, Log: logOf("one\n")}
		Expect(said(want, o)).To(Equal(append([]string{}, failures...)))
	},
		Entry("as expected", "[build]\nexit-code = 20\n[[logs]]\nline = 'one'", 20),
		Entry("fails", "[[group]]\nid = 'x'\n[[logs]]\nline = 'two'\n[launch]", 51,
			"build ended with exit code 51 (a buildpack's bin/build failed); expected 0", "3: log of the build has no line that matches /two/"),
		Entry("another failure", "[build]\nexit-code = 20", 21, "2: build ended with exit code 21 (a buildpack's bin/detect failed); expected 20"),
		Entry("of a signal", "", 137, "build ended with exit code 137; expected 0"),
		Entry("succeeds", "[build]\nexit-code = 20", 0, "2: build ended with exit code 0; expected 20"),
		Entry("no image", "", 0, "build ended with exit code 0, but exported no image"),
	)

	DescribeTable("judges a launch", func(toml string, l *smoke.Launched, failures ...string) {
		o := good()
		o.Launch = l
		Expect(said(toml, o)).To(Equal(append([]string{}, failures...)))
	},
		Entry("that ended well", "[launch]", &smoke.Launched{Ended: true}),
		Entry("that ended otherwise", "[launch]\nexit-code = 3", &smoke.Launched{Ended: true}, "2: default process ended with exit code 0; expected 3"),
		Entry("that did not end", "[launch]\ntype = 'web'", &smoke.Launched{}, "1: process web did not end within 30s; raise launch.timeout, or add [launch.http] for a server"),
		Entry("that was not", "[launch]\nexit-code = 3", nil, "1: default process did not start: it was not launched"),
		Entry("of a process that is not there", "[launch]\nargs = []\ntype = 'worker'", &smoke.Launched{Err: errors.New("no such file")}, "3: there is no process worker to launch; the image has web, old"),
		Entry("of one that is, and failed", "[launch]\ntype = 'old'", &smoke.Launched{Err: errors.New("no memory")}, "1: process old did not start: no memory"),
		Entry("that failed", "[launch.http]\nport = 1", &smoke.Launched{Err: errors.New("no memory")}, "1: default process did not start: no memory"),
		Entry("without an answer", "[launch.http]\nport = 1", &smoke.Launched{NoAnswer: errors.New("refused")}, "1: default process did not answer on port 1 within 30s: refused"),
		Entry("that ended before", "[launch.http]\nport = 1", &smoke.Launched{Ended: true, ExitCode: 7}, "1: default process ended with exit code 7 before it answered on port 1"),
		Entry("that was not expected", "", &smoke.Launched{Err: errors.New("no memory")}),
	)

	It("tells an image without a default process, and one with broken labels", func() {
		toml := "[[processes]]\ntype = 'web'\ndefault = true"
		for _, entrypoint := range [][]string{nil, {"/cnb/lifecycle/launcher"}} {
			app := imageOf(func(c *v1.Config) {
				c.Entrypoint, c.Labels = entrypoint, map[string]string{flatten.BuildMetadataLabel: `{"processes":[{"type":"web"}]}`}
			})
			Expect(said(toml, smoke.Outcome{App: app})).To(Equal([]string{"3: there is no default process; expected web"}))
		}
		app := imageOf(func(c *v1.Config) { c.Labels = map[string]string{flatten.BuildMetadataLabel: "{"} })
		Expect(said(toml, smoke.Outcome{App: app})).To(ConsistOf(
			ContainSubstring("label "+flatten.BuildMetadataLabel), "1: there is no process web; the image has none"))
	})

	It("reads logs of any size, and lines of any length", func() {
		toml := "[[logs]]\nline = 'end$'\n[[logs]]\nline = 'beyond'"
		long := strings.Repeat("x", 200_000)
		o := good()
		o.Log = logOf(long + "beyond\n" + long + "\nthe end")
		Expect(said(toml, o)).To(Equal([]string{"3: log of the build has no line that matches /beyond/"}))
		o.Log = func() (io.ReadCloser, error) { return nil, errors.New("gone") }
		Expect(said(toml, o)).To(Equal([]string{"1: log of the build cannot be read: gone"}))
		o.Log = nil
		Expect(said(toml, o)).To(HaveLen(2))
	})
})
