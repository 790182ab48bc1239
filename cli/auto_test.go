package cli_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("--flatten=auto", func() {
	BeforeEach(enterBuilder)

	dry := func(args ...string) string {
		GinkgoHelper()
		r := create(append([]string{"--flatten=auto", "--dry-run"}, args...)...)
		Expect(r.code).To(BeZero(), r.stderr)
		return r.stdout
	}

	It("tells what it puts together and why, what that comes to, and what is new", func() {
		digest(create("oci:out", "--flatten=auto", "--max-layers", "6"))
		put("b/bin/build", "#!/bin/sh\n# changed\n")
		Expect(laminate("package", "-q", "right.cnb", "-c", "right.toml", "--flatten-layers=all").code).To(BeZero())
		Expect(dry("oci:out", "--max-layers", "6")).To(And(
			HavePrefix("builder for linux/amd64: 6 layers of at most 6, 0 to spare\n   1  build image\n   1  lifecycle\n   1  configuration\n"),
			ContainSubstring("\n6 buildpacks in 3 layers:\n"), ContainSubstring(", as in the previous image\n"),
			MatchRegexp(`\n   3 +\+[0-9.]+ kB  acme/`),
			MatchRegexp(`\n22\.5 kB unpacked; clients that have oci:out pull\n   [0-9.]+ kB in 1 layer \(\+\)\n`)))
	})

	It("shows by a plus what is new: on top, also where all fits", func() {
		digest(create("oci:out", "--flatten=auto"))
		put("b/bin/build", "#!/bin/sh\n# changed\n")
		Expect(laminate("package", "-q", "right.cnb", "-c", "right.toml", "--flatten-layers=all").code).To(BeZero())
		Expect(dry("oci:out")).To(And(
			HavePrefix("builder for linux/amd64: 9 layers of at most 119, 110 to spare\n"),
			MatchRegexp(`\n   6 +\+4\.6 kB  acme/b@1 +alone\n22\.5 kB unpacked; clients that have oci:out pull\n   4\.6 kB in 1 layer \(\+\)\n`)))
	})

	It("is over what --previous names, and warns where there can be nothing", func() {
		digest(create("oci:old", "--flatten=auto"))
		Expect(dry("docker-archive:new.tar")).To(HaveSuffix(" unpacked\n"))
		r := create("docker-archive:new.tar", "--flatten=auto", "--dry-run")
		Expect(r.stderr).To(HavePrefix("warning: the plan keeps no layer of an earlier image: DEST is neither in a registry nor an OCI layout;"))
		for _, previous := range []string{"oci:old", "none"} {
			Expect(create("docker-archive:new.tar", "--flatten=auto", "--dry-run", "--previous", previous).stderr).To(BeEmpty())
		}
		Expect(dry("docker-archive:new.tar", "--previous", "oci:old")).To(HaveSuffix("clients that have oci:old pull\n   nothing\n"))
	})

	It("says what Docker's engine pulls, where that is more", func() {
		digest(create("oci:out"))
		put("a/bin/build", "#!/bin/sh\n# changed\n")
		Expect(laminate("package", "-q", "left.cnb", "-c", "left.toml", "--flatten-layers=all").code).To(BeZero())
		plan := create("oci:out", "--dry-run").stdout
		Expect(plan[strings.LastIndex(plan, "\n22"):]).To(Equal(`
22.5 kB unpacked; clients that have oci:out pull
   4.6 kB in 1 layer (+)
   Docker's engine, which reuses only the layers below the first change, pulls 20.5 kB in 5 layers
`))
	})

	It("fails where what is asked for leaves no room, and says what to do about it", func() {
		r := create("oci:out", "--flatten=auto", "--flatten-exclude=acme/a,acme/b", "--max-layers", "5")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(HaveSuffix("Even with --flatten=all it would have 6. --flatten-exclude asks for 2 layers. Exclude fewer buildpacks, or use a build image with fewer layers.\n"))
		r = laminate("package", "out.cnb", "-c", "left.toml", "--flatten-layers=auto", "--previous=none", "--flatten-exclude=acme/a,acme/left", "--max-layers", "2")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(HavePrefix("laminate: too many layers: 3, the limit is 2. The plan:\n"))
		Expect(r.stderr).To(HaveSuffix("\n--flatten-exclude asks for 2 layers. Fewer layers: fewer exclusions, or larger groups.\n"))
		for advice, args := range map[string][]string{
			"--flatten-layers=auto, which keeps to --max-layers, --flatten-layers, --flatten-layers=all, or --flatten-group.": {"--max-layers", "2"},
			"--flatten-exclude asks for 1 layer in every mode. Fewer layers: fewer exclusions, --flatten":                     {"--flatten-exclude", "acme/a", "--max-layers", "2"},
			"Fewer layers: larger groups.\n": {"--flatten-layers=auto", "--flatten-group", "acme/a", "--flatten-group", "acme/left", "--max-layers", "2"},
		} {
			r = laminate(append([]string{"package", "out.cnb", "-c", "left.toml", "--previous=none"}, args...)...)
			Expect(r.code).To(Equal(1))
			Expect(r.stderr).To(ContainSubstring(advice), "%v", args)
		}
		r = create("oci:out", "--flatten=auto", "--flatten=acme/a", "--flatten-exclude=acme/b", "--max-layers", "5")
		Expect(r.stderr).To(ContainSubstring("--flatten=REF,... asks for 1 layer, and --flatten-exclude for 1 more. Exclude fewer buildpacks, or use fewer groups, "))
		r = create("oci:out", "--flatten=auto", "--flatten=acme/a", "--flatten=acme/b", "--max-layers", "5")
		Expect(r.stderr).To(HaveSuffix("--flatten=REF,... asks for 2 layers. Use fewer groups, or a build image with fewer layers.\n"))
		Expect("out").NotTo(BeADirectory())
	})

	It("is a value that is written behind an equals sign", func() {
		r := laminate("builder", "create", "-c", "builder.toml", "--flatten", "auto", "oci:out")
		Expect(r.code).To(Equal(2))
		Expect(r.stderr).To(HavePrefix("laminate: misplaced value \"auto\"; write it behind an equals sign: --flatten=auto\n"))
	})
})
