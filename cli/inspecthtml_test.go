package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
)

var _ = Describe("inspect --output html", func() {
	BeforeEach(func() {
		enterBuilder()
		Expect(create("oci:out", "-q").code).To(BeZero())
	})

	It("prints a page with what the JSON says", func() {
		page := laminate("inspect", "oci:out", "--output", "html")
		Expect(page.code).To(BeZero(), page.stderr)
		Expect(page.stdout).To(HavePrefix("<!doctype html>\n"))
		data := regexp.MustCompile(`(?s)<script type="application/json" id="report">(.*?)</script>`).FindStringSubmatch(page.stdout)
		Expect(data).NotTo(BeNil())
		Expect(json.Valid([]byte(data[1]))).To(BeTrue())
		Expect(data[1]).To(MatchJSON(laminate("inspect", "oci:out", "--output", "json").stdout))
		Expect(laminate("inspect", "oci:out", "--output", "html")).To(Equal(page))
	})

	It("refuses a terminal", func() {
		terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
		if err != nil {
			Expect(err).To(Or(MatchError(fs.ErrNotExist), MatchError(fs.ErrPermission)))
			Skip("there are no pseudo terminals here: " + err.Error())
		}
		defer terminal.Close()
		var stderr bytes.Buffer
		args := []string{"laminate", "inspect", "oci:out", "--output", "html"}
		Expect(cli.Run(context.Background(), args, terminal, &stderr, os.Getenv)).To(Equal(2))
		Expect(stderr.String()).To(Equal("laminate: --output html prints a page for a browser, and standard output is a terminal; add > page.html\nSee: laminate inspect --help\n"))
	})
})
