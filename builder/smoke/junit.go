package smoke

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// The elements of a JUnit report, in the form of the Jenkins xUnit plugin (junit-10.xsd), which
// Jenkins, GitLab and GitHub actions read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Time     string       `xml:"time,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr"`
		Properties []junitProperty `xml:"properties>property,omitempty"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		Class     string        `xml:"classname,attr"`
		Time      string        `xml:"time,attr"`
		Error     *junitProblem `xml:"error"`
		Failure   *junitProblem `xml:"failure"`
		SystemOut string        `xml:"system-out,omitempty"`
	}
	junitProblem struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report as JUnit XML: a suite of the builder, and in it a test case per app,
// with one failure for all expectations that are not met, since many readers show no other. The warnings and the logs of the phases are the case's
// output, which CI systems show for cases that pass as well: JUnit has no warnings.
// Characters that XML does not allow are written as \x1b.
func (r Report) WriteJUnit(w io.Writer) error {
	suite := junitSuite{
		Name: inXML(r.Builder), Tests: len(r.Apps), Failures: r.count(Failed), Errors: r.count(Broken),
		Time: junitTime(r.Seconds), Timestamp: r.Started.UTC().Format(time.RFC3339),
	}
	if r.Digest != "" {
		suite.Properties = append(suite.Properties, junitProperty{"digest", inXML(r.Digest)})
	}
	for _, a := range r.Apps {
		suite.Cases = append(suite.Cases, r.junitCase(a))
	}
	all := junitSuites{
		Name: "laminate builder smoke", Time: suite.Time, Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors,
		Suites: []junitSuite{suite},
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (r Report) junitCase(a Result) junitCase {
	c := junitCase{Name: inXML(a.App), Class: inXML(r.Builder), Time: junitTime(a.Seconds)}
	if a.Status == Broken {
		message := inXML(a.Error)
		c.Error = &junitProblem{"error", message, message}
	}
	if len(a.Failures) > 0 {
		c.Failure = junitFailure(a.Failures)
	}
	var out strings.Builder
	for _, w := range a.Warnings {
		out.WriteString("warning: " + w + "\n")
	}
	for _, p := range a.Phases {
		fmt.Fprintf(&out, "[%s] %.3f s", p.Name, p.Seconds)
		if p.ExitCode != nil {
			fmt.Fprintf(&out, ", exit code %d", *p.ExitCode)
		}
		if p.LogFile != "" {
			fmt.Fprintf(&out, ", log in %s", p.LogFile)
		}
		out.WriteString("\n" + p.Log)
		if p.Log != "" && !strings.HasSuffix(p.Log, "\n") {
			out.WriteString("\n")
		}
	}
	c.SystemOut = inXML(out.String())
	return c
}

// junitFailure returns all failures of an app as one.
func junitFailure(failures []Failure) *junitProblem {
	message, all := failures[0].Error(), ""
	if more := len(failures) - 1; more > 0 {
		message += fmt.Sprintf(" (and %d more)", more)
	}
	for i, f := range failures {
		if i > 0 {
			all += "\n"
		}
		all += f.Error()
	}
	return &junitProblem{"failure", inXML(message), inXML(all)}
}

// junitTime formats seconds.
func junitTime(seconds float64) string { return fmt.Sprintf("%.3f", max(seconds, 0)) }

// inXML escapes what XML 1.0 does not allow, which no entity can express either.
func inXML(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r == 0xfffe || r == 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		s = s[n:]
	}
	return b.String()
}
