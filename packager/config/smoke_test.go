package config

import (
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const wholeSmoke = `
[[build.env]]
name = "BP_JVM_VERSION"
value = "21"

[[group]]
id = "samples/java-maven"
version = "0.0.1"
[[group]]
id = "samples/hello"

[[processes]]
type = "web"
command = '^java$'
args = 'app\.jar'
default = true

[[files]]
path = "/workspace/app.jar/"
mode = "0644"
content = '^Main'
[[files]]
path = "/workspace/src"
absent = true

[[labels]]
key = "version"
[[logs]]
line = '(?i)deprecated'
absent = true

[launch]
type = "web"
args = ["--check"]
timeout = "10s"
[launch.http]
port = 8_080
path = "/healthz"
status = 0xcc
body = 'ok'
[[launch.env]]
name = "JAVA_HOME"
value = '^/layers/'
[[launch.logs]]
line = 'Started'
`

var _ = Describe("smoke.toml", func() {
	It("is read whole", func() {
		s, problems := ParseSmoke("smoke.toml", []byte(wholeSmoke))
		Expect(problems).To(BeEmpty())
		Expect(s.ExitCode).To(BeZero())
		Expect(s.BuildEnv).To(Equal([]EnvVar{{"BP_JVM_VERSION", "21"}}))
		Expect(s.Group).To(Equal([]SmokeBuildpack{{"samples/java-maven", "0.0.1"}, {ID: "samples/hello"}}))
		web := s.Processes[0]
		Expect(web.Type).To(Equal("web"))
		Expect(web.Default).To(BeTrue())
		Expect(web.Command.MatchString("java")).To(BeTrue())
		Expect(web.Command.MatchString("javac")).To(BeFalse())
		Expect(web.Args.MatchString("-jar app.jar")).To(BeTrue())
		jar, src := s.Files[0], s.Files[1]
		Expect(jar.Path).To(Equal("/workspace/app.jar"))
		Expect([]any{jar.HasMode, jar.Mode}).To(HaveExactElements(true, BeEquivalentTo(0o644)))
		Expect(jar.Content.MatchString("x\nMain\n")).To(BeTrue())
		Expect(src).To(Equal(SmokeFileContent{Path: "/workspace/src", Absent: true}))
		Expect(s.Labels).To(Equal([]SmokeValue{{Name: "version"}}))
		Expect(s.Logs[0].Absent).To(BeTrue())
		Expect(s.Logs[0].Line.MatchString("it is DEPRECATED")).To(BeTrue())
		Expect(s.Launch.Type).To(Equal("web"))
		Expect(s.Launch.Args).To(Equal([]string{"--check"}))
		Expect(s.Launch.Timeout).To(Equal(10 * time.Second))
		Expect(*s.Launch.HTTP).To(Equal(SmokeHTTP{Port: 8080, Path: "/healthz", Status: 204, Body: s.Launch.HTTP.Body}))
		Expect(s.Launch.HTTP.Body.MatchString("it is ok")).To(BeTrue())
		Expect(s.Launch.Env[0].Name).To(Equal("JAVA_HOME"))
		Expect(s.Launch.Env[0].Value.MatchString("/layers/jdk")).To(BeTrue())
		Expect(s.Launch.Logs[0].Line.MatchString("Started.")).To(BeTrue())
		Expect(s.Problem("here", "launch", "env", 0, "value").Line).To(Equal(43))
	})

	It("has defaults, and launches only if it says so", func() {
		s, problems := ParseSmoke("f", nil)
		Expect(problems).To(BeEmpty())
		Expect(s.Launch).To(BeNil())
		s, problems = ParseSmoke("f", []byte("[launch.http]\nport = 80\n"))
		Expect(problems).To(BeEmpty())
		Expect(s.Launch.Timeout).To(Equal(LaunchTimeout))
		Expect(*s.Launch.HTTP).To(Equal(SmokeHTTP{Port: 80, Path: "/", Status: 200}))
	})

	It("is read from a file", func() {
		file := filepath.Join(GinkgoT().TempDir(), SmokeFile)
		Expect(os.WriteFile(file, []byte("[build]\nexit-code = 300\n"), 0o600)).To(Succeed())
		_, err := ReadSmoke(file)
		Expect(err).To(MatchError(file + ":2: build.exit-code must be from 0 to 255"))
		_, err = ReadSmoke(file + "x")
		Expect(os.IsNotExist(err)).To(BeTrue())
	})

	DescribeTable("is refused", func(text string, want ...string) {
		_, problems := ParseSmoke("f", []byte(text))
		Expect(problems.Err()).To(HaveOccurred())
		Expect(said(problems)).To(Equal(want))
	},
		Entry("with unknown keys", "[[process]]\ntype = 'web'\n[launch]\nexit = 1\nport = 1",
			`1: unknown key "process"; did you mean "processes"?`,
			`4: unknown key "launch.exit"; known are type, args, exit-code, timeout, http, env, logs`,
			`5: unknown key "launch.port"; port belongs in [launch.http]`),
		Entry("with keys of the wrong type", "[build]\nexit-code = '20'\n[launch]\nexit-code = 1.5\n[[files]]\npath = '/x'\nmode = 0o755\n[[labels]]\nkey = 1\nvalue = 2",
			"2: build.exit-code must be a whole number, not a string",
			"4: launch.exit-code must be a whole number, not a number",
			`7: files.mode must be a string, not a number; write "0755"`,
			"9: labels.key must be a string, not a number",
			"10: labels.value must be a string, not a number"),
		Entry("with a number that is too large", "build.exit-code = 99999999999999999999999",
			"1: decimal number is too large to fit in a 64-bit signed integer"),
		Entry("without what an expectation is about", "[[group]]\nversion = '1'\n[[processes]]\n[[files]]\npath = ''\n[[labels]]\n[[logs]]\n[[build.env]]\n[launch.http]\n[[launch.env]]",
			"1: group.id is missing", "3: processes.type is missing", "5: files.path is empty", "6: labels.key is missing",
			"7: logs.line is missing", "8: build.env.name is missing",
			"9: launch.http.port is missing; write the port that the process listens on, such as 8080", "10: launch.env.name is missing"),
		Entry("with values that cannot be", "[[group]]\nid = 'a@1'\n[[build.env]]\nname = 'A B'\n[[build.env]]\nname = 'A'\n[[build.env]]\nname = 'A'\nvalue = \"\\u0000\"\n[[build.env]]\nname = 'B'\nvalue = \"\\u0000\"\n",
			"2: group.id has a version; write it in version", `4: invalid build.env.name "A B"`, `7: duplicate build.env "A"; remove one`,
			"12: build.env.value has a NUL character"),
		Entry("with patterns that cannot be", "[[logs]]\nline = 'a)(b'\n[[labels]]\nkey = 'x'\nvalue = ''\n[[files]]\npath = '/x'\ncontent = '(?<!a)b'",
			"2: invalid pattern \"a)(b\" in logs.line: unexpected ): `a)(b`",
			`5: labels.value is an empty pattern, which matches everything; remove it, or write '\A\z' for an empty value`,
			"8: invalid pattern \"(?<!a)b\" in files.content: invalid named capture: `(?<!a)b`"),
		Entry("with files that cannot be", "[[files]]\npath = 'app.jar'\nmode = 'rwx'\n[[files]]\npath = '/x'\nmode = '10000'\nabsent = true",
			`2: files.path "app.jar" is relative; write it from the image's root, such as "/workspace/app.jar"`,
			`3: invalid files.mode "rwx"; write octal digits, such as "0755"`,
			`4: files "/x" is absent, and so has neither mode nor content; remove them`,
			`6: invalid files.mode "10000"; write octal digits, such as "0755"`),
		Entry("with paths that are relative to the image's root", "[[files]]\npath = 'workspace/rel'\n[[files]]\npath = './workspace'\n[[files]]\npath = 'workspaces/x'",
			`2: files.path "workspace/rel" is relative; write it from the image's root, such as "/workspace/rel"`,
			`4: files.path "./workspace" is relative; write it from the image's root, such as "/workspace"`,
			`6: files.path "workspaces/x" is relative; write it from the image's root, such as "/workspace/workspaces/x"`),
		Entry("with processes that exclude each other", "[[processes]]\ntype = 'a'\ndefault = true\n[[processes]]\ntype = 'b'\ndefault = true\n[[processes]]\ntype = 'a'",
			`6: processes "a" and "b" cannot both be default`, `7: duplicate process "a"; remove one`),
		Entry("with a launch that cannot be", "[launch]\nexit-code = 256\nargs = [\"\\u0000\"]\ntimeout = '30'\n[launch.http]\nport = 0\npath = 'x'\nstatus = 99",
			"2: launch.exit-code must be from 0 to 255",
			"2: launch has both exit-code and http; a process that answers is ended, so remove exit-code",
			"3: launch.args has a NUL character",
			`4: invalid launch.timeout "30"; write a duration, such as "30s" or "2m"`,
			"6: launch.http.port must be from 1 to 65535", `7: invalid launch.http.path "x"; it begins with /`,
			"8: launch.http.status must be from 200 to 599"),
		Entry("with an image of a build that fails", "build.exit-code = 20\n[[files]]\npath = '/x'\n[launch]\n",
			"2: build.exit-code is 20, so there is no app image; remove files",
			"4: build.exit-code is 20, so there is no app image; remove launch"),
	)
})
