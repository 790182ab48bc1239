package smoke_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
	"laminate/builder/smoke/ownership"
	"laminate/builder/smoke/tardiff"
	"laminate/fixtures/workbench"
)

// report is a report with everything in it.
func report() smoke.Report {
	failed, broken, passed := smoke.Result{App: "apps/bad", Seconds: 1.5, Image: "sha256:1"}, smoke.Result{App: "apps/\x1b[1m\xff"}, smoke.Result{App: "apps/good"}
	code := 51
	failed.Phases = []smoke.Phase{
		{Name: "build", Seconds: 1.25, ExitCode: &code, Log: "\x1b[31mred\x00 & <b> ]]>\ttab\xc3\n\ufffe\x7f", LogFile: "/tmp/build.log"},
		{Name: "launch"},
	}
	failed.Set(nil, []smoke.Failure{{File: "apps/bad/smoke.toml", Line: 7, Message: `content is "\x00"`}, {Message: "two\x07"}})
	failed.LayerWrites = []ownership.Write{
		{Buildpack: "acme/maven", Owner: "acme/jre", Layer: "jre", Path: "/layers/acme_jre/jre/lib", Change: ownership.Removed},
		{Buildpack: "acme/maven", Owner: "acme/jre", Path: "/layers/acme_jre/launch.toml", Change: ownership.Touched},
	}
	failed.LayerWritesError = "layers: too many open files"
	failed.Outlived = []smoke.Outlived{{Buildpack: "acme/jre", Name: "sleep", Command: "sleep 600"}, {Name: "sh\x01"}}
	failed.Warnings = []string{"one is \x01", "two"}
	broken.Set(errors.New("no user namespace\x01"), nil)
	passed.Set(nil, nil)
	broken.Kept, broken.Root = "/tmp/laminate-smoke-bad-1", "/root/.cache/laminate/v1/trees/ab/cd/root"
	broken.Twice = &smoke.Twice{Image: "sha256:3", Layers: []smoke.TwiceLayer{
		{Name: "app", Outcome: smoke.GoneLayer},
		{Buildpack: "acme/jre", Name: "jre", Outcome: smoke.DifferentLayer, Bytes: 5, Written: 4, AppFiles: 2, MoreChanges: 1, Changes: []tardiff.Change{{Path: "/layers/acme_jre/jre/x", Kind: tardiff.Removed}}},
	}}
	return smoke.Report{
		Schema: smoke.ReportSchema, Builder: "acme/builder", Digest: "sha256:2", Seconds: 3,
		Started: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)), Apps: []smoke.Result{failed, broken, passed},
	}
}

var _ = Describe("Report", func() {
	It("passes if all apps do, and there is one", func() {
		r := report()
		Expect(r.Passed()).To(BeFalse())
		r.Apps = r.Apps[2:]
		Expect(r.Passed()).To(BeTrue())
		Expect(smoke.Report{}.Passed()).To(BeFalse())
	})

	It("is written as the JSON that is documented", func() {
		for _, r := range []smoke.Report{report(), {Schema: smoke.ReportSchema, Apps: []smoke.Result{}}} {
			data, err := json.Marshal(r)
			Expect(err).NotTo(HaveOccurred())
			workbench.ExpectValid("smoke.schema.json", data)
		}
		data, err := json.Marshal(report().Apps[2])
		Expect(err).NotTo(HaveOccurred())
		Expect(data).To(MatchJSON(`{"app":"apps/good","status":"passed","seconds":0,"phases":[],"failures":[]}`))
	})

	It("is rounded to milliseconds, and stays as it is", func() {
		r := smoke.Report{Seconds: 1.7858932969999999, Apps: []smoke.Result{{Seconds: 0.0004, Phases: []smoke.Phase{{Seconds: 2.00051}}}}}
		rounded := r.Rounded()
		Expect(rounded.Seconds).To(Equal(1.786))
		Expect(rounded.Apps[0].Seconds).To(BeZero())
		Expect(rounded.Apps[0].Phases[0].Seconds).To(Equal(2.001))
		Expect(r.Apps[0].Phases[0].Seconds).To(Equal(2.00051))
	})

	It("is written as JUnit XML", func() {
		var b bytes.Buffer
		Expect(report().WriteJUnit(&b)).To(Succeed())
		Expect(b.String()).To(Equal(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="laminate builder smoke" time="3.000" tests="3" failures="1" errors="1">
  <testsuite name="acme/builder" tests="3" failures="1" errors="1" skipped="0" time="3.000" timestamp="2026-01-02T02:04:05Z">
    <properties>
      <property name="digest" value="sha256:2"></property>
    </properties>
    <testcase name="apps/bad" classname="acme/builder" time="1.500">
      <failure type="failure" message="apps/bad/smoke.toml:7: content is &#34;\x00&#34; (and 1 more)">apps/bad/smoke.toml:7: content is &#34;\x00&#34;&#xA;two\x07</failure>
      <system-out>warning: one is \x01&#xA;warning: two&#xA;[build] 1.250 s, exit code 51, log in /tmp/build.log&#xA;\x1b[31mred\x00 &amp; &lt;b&gt; ]]&gt;&#x9;tab\xc3&#xA;\ufffe\x7f&#xA;[launch] 0.000 s&#xA;</system-out>
    </testcase>
    <testcase name="apps/\x1b[1m\xff" classname="acme/builder" time="0.000">
      <error type="error" message="no user namespace\x01">no user namespace\x01</error>
    </testcase>
    <testcase name="apps/good" classname="acme/builder" time="0.000"></testcase>
  </testsuite>
</testsuites>
`))
	})

	It("is JUnit XML that parsers take, whatever logs hold", func() {
		var every strings.Builder
		for i := range 256 {
			every.WriteByte(byte(i))
		}
		every.WriteString("\ud7ff\ufffd\uffff\U0010ffff")
		code := 1
		r := smoke.Report{Builder: every.String(), Digest: every.String(), Apps: []smoke.Result{{
			App: every.String(), Status: smoke.Failed, Seconds: -1,
			Warnings: []string{every.String()},
			Phases:   []smoke.Phase{{Name: every.String(), Log: every.String(), LogFile: every.String(), ExitCode: &code}},
			Failures: []smoke.Failure{{File: every.String(), Message: every.String()}},
		}}}
		var b bytes.Buffer
		Expect(r.WriteJUnit(&b)).To(Succeed())
		Expect(b.String()).NotTo(ContainSubstring("\ufffd\ufffd"))
		d := xml.NewDecoder(&b)
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			Expect(err).NotTo(HaveOccurred())
		}
	})

	It("is valid by the schema of the Jenkins xUnit plugin", func() {
		xmllint, err := exec.LookPath("xmllint")
		if err != nil {
			Skip("xmllint is not here (Debian has it in libxml2-utils)")
		}
		for i, r := range []smoke.Report{report(), {}} {
			file := filepath.Join(GinkgoT().TempDir(), fmt.Sprint(i))
			var b bytes.Buffer
			Expect(r.WriteJUnit(&b)).To(Succeed())
			Expect(os.WriteFile(file, b.Bytes(), 0o600)).To(Succeed())
			out, err := exec.Command(xmllint, "--nonet", "--noout", "--schema", "testdata/junit-10.xsd", file).CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), string(out))
		}
	})
})

var _ = Describe("Excerpt", func() {
	It("has all of a short log, without colours", func() {
		Expect(smoke.Excerpt(strings.NewReader("\x1b[1ma\x1b[0m\r\nb"))).To(Equal("a\nb\n"))
		lines := strings.Repeat("0123456789abcde\n", 4096) // 64 KiB
		Expect(smoke.Excerpt(strings.NewReader(lines))).To(Equal(lines))
	})

	It("has start and end of a long one", func() {
		var all strings.Builder
		for i := range 100_000 {
			fmt.Fprintf(&all, "%014d\n", i) // 1.5 MB
		}
		text, err := smoke.Excerpt(strings.NewReader(all.String()))
		Expect(err).NotTo(HaveOccurred())
		Expect(text).To(And(HavePrefix("00000000000000\n00000000000001\n"), HaveSuffix("00000000099998\n00000000099999\n")))
		start, end, found := strings.Cut(text, "... ")
		Expect(found).To(BeTrue())
		Expect(len(start)).To(BeNumerically("<=", 16<<10))
		var left int
		_, err = fmt.Sscanf(end, "%d bytes left out ...\n", &left)
		Expect(err).NotTo(HaveOccurred())
		_, end, _ = strings.Cut(end, "\n")
		Expect(len(end)).To(Equal(48 << 10))
		Expect(len(start) + left + len(end)).To(Equal(all.Len()))
	})
})
