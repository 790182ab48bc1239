package update_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
)

// randomBuilder writes references in all forms that TOML has, between other
// things, before and after an update.
func randomBuilder(random *rand.Rand) (before, after string) {
	var a, b strings.Builder
	both := func(s string) { a.WriteString(s); b.WriteString(s) }
	pick := func(all ...string) string { return all[random.IntN(len(all))] }
	if random.IntN(4) == 0 {
		both("\ufeff")
	}
	newline := pick("\n", "\r\n")
	// value writes a string in one of the four forms, perhaps with an escape,
	// after which the rest of the value is written anew.
	value := func(old, new string) {
		quotes := pick(`"`, `'`, `"""`, `'''`)
		begin := ""
		if len(quotes) == 3 {
			begin = pick("", newline)
		}
		if quotes[0] == '"' && old != new && random.IntN(4) == 0 {
			a.WriteString(quotes + begin + fmt.Sprintf("\\u%04x", old[0]) + old[1:] + quotes)
			b.WriteString(quotes + new + quotes)
			return
		}
		a.WriteString(quotes + begin + old + quotes)
		b.WriteString(quotes + begin + new + quotes)
	}
	digest := func(reference string) string {
		sum := sha256.Sum256([]byte(reference))
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	image := func(i int) (old, new string) {
		repository := fmt.Sprintf("example.com/acme/r%d", i)
		prefix := pick("", "docker://")
		switch random.IntN(5) {
		case 0:
			return prefix + repository + ":v1.0.0", prefix + repository + ":v49.0.1"
		case 1:
			return prefix + repository + ":1.0.0-jammy", prefix + repository + ":49.0.1-jammy"
		case 2:
			return prefix + repository + ":latest", prefix + repository + ":latest"
		case 3:
			return prefix + repository + ":1.0.0@" + digest("x"), prefix + repository + ":49.1.0@" + digest(repository+"49.1.0")
		}
		return prefix + repository + ":1.0.0", prefix + repository + ":49.1.0"
	}
	noise := func() {
		both(pick("", "", newline, "# \"docker://example.com/x:1.0.0\" 'ü'"+newline, "\t # it's \"\"\" not"+newline))
	}
	noise()
	both("description = " + pick(`"a # b"`, `'# c "'`, "\"\"\"\n# d\n''' \\\" \"\"\"", "'''\n# \"e\n'''") + pick("", " # f") + newline)
	if random.IntN(2) == 0 {
		both("unknown" + pick("", ".b", `."x y#"`) + " = " + pick("[1, 2, [ # g\n 'h#']]", "{ i = 'j#', k = [\"#\"] }", "1979-05-27T07:32:00Z", "0x1F", "inf") + newline)
	}
	key := pick("build.image", `build."image"`, `"build" . 'image'`)
	both(key + pick(" = ", "=", " =\t"))
	value(image(100))
	both(newline)
	if random.IntN(2) == 0 {
		both("buildpacks = [" + pick("", newline+" # one"+newline))
		for i := range 1 + random.IntN(4) {
			both(pick("{uri = ", "{ id = 'acme/#', \"uri\"="))
			value(image(i))
			both(pick("}", " , optional = true }") + pick(",", " , # two"+newline, ","+newline))
		}
		both("]" + newline)
		return a.String(), b.String()
	}
	for i := range 1 + random.IntN(4) {
		noise()
		both(pick("[[buildpacks]]", "[[ buildpacks ]] # three", `[["buildpacks"]]`) + newline)
		noise()
		both(pick("", "  ", "\t") + pick("uri", `"uri"`, "'uri'", "image") + " = ")
		old, new := image(i)
		value(old, new)
		both(pick("", " # four", "  #five 1.0.0") + newline)
		noise()
	}
	both(pick("[other]"+newline+"uri = 'docker://example.com/x:1.0.0'"+newline, "[run]"+newline+"images = [{image = 'x', mirrors = [] }]", ""))
	return a.String(), b.String()
}
