package cli_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = DescribeTable("a mistake on the command line is told in one sentence with the next step",
	func(code int, want string, args ...string) {
		enterPackages("offline")
		r := laminate(args...)
		Expect(r.stdout).To(BeEmpty())
		message, _, pointer := strings.Cut(strings.TrimSuffix(r.stderr, "\n"), "\nSee: laminate ")
		Expect(message).To(Equal("laminate: " + want))
		Expect(r.code).To(Equal(code))
		Expect(pointer).To(Equal(code == 2), "a pointer to --help is for wrong use")
	},
	Entry(nil, 2, `invalid value "atuo" for --flatten; did you mean auto? It takes composites, all, auto, as-packaged, none, or REFs that share a layer`,
		"builder", "create", "oci:o", "-c", "b.toml", "--flatten=atuo"),
	Entry(nil, 2, `invalid value "composite" for --flatten; did you mean composites? It takes composites, all, auto, as-packaged, none, or REFs that share a layer`,
		"builder", "create", "oci:o", "-c", "b.toml", "--flatten=composite"),
	Entry(nil, 2, `invalid value "" for --flatten; it takes composites, all, auto, as-packaged, none, or REFs that share a layer`,
		"builder", "create", "oci:o", "-c", "b.toml", "--flatten="),
	Entry(nil, 2, `misplaced value "acme/java"; write it behind an equals sign: --flatten=acme/java`, "builder", "create", "oci:o", "-c", "b.toml", "--flatten", "acme/java"),
	Entry(nil, 2, `invalid value "auto" for --flatten, which takes none in this command; use --flatten-layers=auto`, "package", "--flatten=auto", "o.cnb"),
	Entry(nil, 2, `misplaced value "auto"; write it behind an equals sign: --flatten-layers=auto`, "package", "--flatten", "auto", "o.cnb"),
	Entry(nil, 2, `misplaced value "acme/java"; write it behind an equals sign: --flatten-group=acme/java`, "package", "--flatten", "acme/java", "o.cnb"),
	Entry(nil, 2, `misplaced value "acme/java"; write it behind an equals sign: --flatten-group=acme/java`, "package", "--flatten-layers", "acme/java", "o.cnb"),
	Entry(nil, 2, `invalid value "atuo" for --flatten-layers; did you mean auto? It takes composites, all, auto, as-packaged or none`, "package", "--flatten-layers=atuo", "o.cnb"),
	Entry(nil, 2, "invalid --max-layers 400; write a number from 1 to 125, which is what container engines load", "package", "--max-layers", "400", "o.cnb"),
	Entry(nil, 2, `invalid value "abc" for --max-layers; it takes a number`, "package", "--max-layers", "abc", "o.cnb"),
	Entry(nil, 2, `invalid --output-layout "docker://x"; write the directory of an OCI layout, as DIR or oci:DIR`, "builder", "smoke", "oci:b", "--app", ".", "--output-layout", "docker://x"),
	Entry(nil, 2, "2 arguments; write REF; name apps with --app", "builder", "smoke", "oci:b", "app", "--app", "app"),
	Entry(nil, 2, `invalid value "5" for --timeout; write a duration, such as 90s or 15m`, "builder", "smoke", "--timeout", "5", "oci:b"),
	Entry(nil, 1, "--config ..: it is a directory; name the package.toml in it", "package", "--config", "..", "o.cnb"),
	Entry(nil, 1, "--config ..: it is a directory; name the builder.toml in it", "builder", "create", "--config", "..", "oci:o"),
	Entry(nil, 1, "--config nope.toml: no such file; name the package.toml to read", "package", "--config", "nope.toml", "o.cnb"),
	Entry(nil, 1, "--config nope.toml: no such file; name the builder.toml to read", "builder", "create", "--config", "nope.toml", "oci:o"),
	Entry(nil, 2, "--config is missing; name the builder.toml to read", "builder", "create", "oci:o"),
	Entry(nil, 2, "unknown flag --flaten-layers; did you mean --flatten-layers, --flatten or --flatten-group?", "package", "o.cnb", "--flaten-layers"),
	Entry("a long value", 2, `invalid value "`+strings.Repeat("x", 60)+`" for --flatten, which takes none in this command; use --flatten-group=`+strings.Repeat("x", 60), "package", "--flatten="+strings.Repeat("x", 60), "o.cnb"),
	Entry("a longer one, cut to 60 columns", 2, "unknown command \""+strings.Repeat("x", 59)+"…\"", strings.Repeat("x", 61)),
	Entry("a longer flag", 2, "unknown flag --"+strings.Repeat("x", 57)+"…", "package", "o.cnb", "--"+strings.Repeat("x", 59)),
	Entry("a longer argument", 2, "2 arguments (o.cnb, "+strings.Repeat("x", 59)+"…); write one DEST, and --tag for further names of the image", "package", "o.cnb", strings.Repeat("x", 61)),
	Entry("a longer REF", 1, `unknown buildpack "`+strings.Repeat("x", 59)+`…"; name one of samples/hello-universe@0.0.1, samples/hello-world@0.0.1 and 5 more`, "package", "o.cnb", "--flatten-group", strings.Repeat("x", 61)),
)

var _ = It("a hundred mistakes are told by the first twenty and a count", func() {
	enterPackages("offline")
	var refs []string
	for i := range 100 {
		refs = append(refs, fmt.Sprintf("acme/x%d", i))
	}
	r := laminate("package", "o.cnb", "--flatten-group", strings.Join(refs, ","))
	Expect(r.code).To(Equal(1))
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	Expect(lines).To(HaveLen(22))
	Expect(lines[0]).To(Equal("laminate: 100 problems:"))
	Expect(lines[20]).To(HavePrefix(`   unknown buildpack "acme/x19"; `))
	Expect(lines[21]).To(Equal("   and 80 more; fix these first"))
})
